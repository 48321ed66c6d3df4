"""What `dicom.stored` says about an image that Orthanc has, read from Orthanc itself."""

from typing import Any

from services.registration_service.pacs import Found
from shared.acquisition import ACQUISITION_TAGS, acquisition_date
from shared.errors import OrthancNonsense
from shared.events import Context, DicomStored, Event
from shared.orthanc import Orthanc
from shared.texts import name_or_none

SOURCE = "/examflow/reconciler"


async def stored_event(
    orthanc: Orthanc, image: Found, correlation_id: str | None, facility_zone: str
) -> Event[DicomStored]:
    """The event; its context and uploader are those parked on the image.

    Raises a pydantic ValidationError where the image has no usable UIDs, OrthancNonsense where it cannot be read.
    """
    tags = await orthanc.read(f"/instances/{image.orthanc_id}/simplified-tags")
    digest = await orthanc.digest(image.orthanc_id)
    if not isinstance(tags, dict) or digest is None:
        raise OrthancNonsense(what="an image without tags")
    parked = image.parked
    data = DicomStored(
        orthanc_instance_id=image.orthanc_id,
        orthanc_series_id=image.series_id,
        orthanc_study_id=image.study_id,
        orthanc_patient_id=image.patient_id,
        study_instance_uid=image.study_instance_uid,
        series_instance_uid=image.series_instance_uid,
        sop_instance_uid=image.sop_instance_uid,
        sop_class_uid=image.sop_class_uid,
        modality=name_or_none(_text(tags, "Modality"), 50),
        acquisition_date=acquisition_date({name: _text(tags, name) for name in ACQUISITION_TAGS}, facility_zone),
        accession_number=name_or_none(_text(tags, "AccessionNumber"), 64),
        size=image.size,
        digest=digest,
        origin=parked.data.origin if parked else image.origin,
        context=parked.data.context if parked else Context(),
    )
    correlation = (parked.correlationid if parked else None) or correlation_id
    return Event.about(data, source=SOURCE, subject=image.orthanc_id, correlation_id=correlation)


def _text(tags: dict[str, Any], name: str) -> str | None:
    """A value without padding; None where it is absent, empty or a sequence."""
    value = tags.get(name)
    return (value.strip(" \0") or None) if isinstance(value, str) else None
