"""What `dicom.stored` says about an uploaded file."""

from services.upload_service.dicom import text_of
from services.upload_service.receiving import Received
from shared.acquisition import ACQUISITION_TAGS, acquisition_date
from shared.events import Context, DicomStored, Origin
from shared.permission import ALL_EXAMS, Caller
from shared.texts import name_or_none


def stored_event(
    received: Received, fields: dict[str, str], caller: Caller, remote_ip: str | None, facility_zone: str
) -> DicomStored:
    """The event's data, from Orthanc's answer, the file's header, the form's fields and the caller."""
    stored, tags = received.stored, received.header.tags
    return DicomStored(
        orthanc_instance_id=stored.instance_id,
        orthanc_series_id=stored.series_id,
        orthanc_study_id=stored.study_id,
        orthanc_patient_id=stored.patient_id,
        study_instance_uid=text_of(tags, "StudyInstanceUID") or "",
        series_instance_uid=text_of(tags, "SeriesInstanceUID") or "",
        sop_instance_uid=text_of(tags, "SOPInstanceUID") or "",
        sop_class_uid=text_of(tags, "SOPClassUID"),
        modality=name_or_none(text_of(tags, "Modality"), 50),
        acquisition_date=acquisition_date({name: text_of(tags, name) for name in ACQUISITION_TAGS}, facility_zone),
        accession_number=name_or_none(text_of(tags, "AccessionNumber"), 64),
        size=received.size,
        digest=received.digest,
        origin=Origin(
            kind="upload",
            actor=caller.sub,
            groups=list(caller.groups),
            all_exams=caller.has(ALL_EXAMS),
            remote_ip=name_or_none(remote_ip, 64),
        ),
        context=Context(examen_id=fields.get("examenID") or None, description=fields.get("description", "")),
    )
