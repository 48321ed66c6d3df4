"""The upload service's JSON, exactly as the contract shows it."""

from typing import Literal

from pydantic import BaseModel

from services.upload_service.upload import Uploaded
from shared.timestamps import Timestamp


class UploadData(BaseModel):
    """Orthanc's answer to a store, with the identity and first facts of the image."""

    ID: str
    ParentPatient: str
    ParentSeries: str
    ParentStudy: str
    Path: str
    Status: Literal["Success", "AlreadyStored"]
    StudyInstanceUID: str
    SeriesInstanceUID: str
    SOPInstanceUID: str
    SOPClassUID: str | None
    acquisitionDate: Timestamp | None
    modality: str | None
    event: Literal["confirmed", "pending"]


class UploadAnswer(BaseModel):
    """The answer to an upload that was stored and announced."""

    success: Literal[True] = True
    data: UploadData

    @classmethod
    def of(cls, uploaded: Uploaded) -> "UploadAnswer":
        """The answer to an upload."""
        event = uploaded.event
        data = UploadData.model_validate(
            {
                "ID": event.orthanc_instance_id,
                "ParentPatient": event.orthanc_patient_id,
                "ParentSeries": event.orthanc_series_id,
                "ParentStudy": event.orthanc_study_id,
                "Path": uploaded.path,
                "Status": uploaded.status,
                "StudyInstanceUID": event.study_instance_uid,
                "SeriesInstanceUID": event.series_instance_uid,
                "SOPInstanceUID": event.sop_instance_uid,
                "SOPClassUID": event.sop_class_uid,
                "acquisitionDate": event.acquisition_date,
                "modality": event.modality,
                "event": uploaded.announced,
            }
        )
        return cls(data=data)


class FieldLimit(BaseModel):
    """One part of the form; `maxLength` in characters, null for the file."""

    name: str
    required: bool
    maxLength: int | None


class UploadLimits(BaseModel):
    """What a client can check before it sends."""

    maxFileSize: int
    fields: list[FieldLimit]
    transferSyntaxes: list[str]
