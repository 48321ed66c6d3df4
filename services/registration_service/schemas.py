"""The registration service's JSON, exactly as the contract shows it."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.registration_service.link import LONGEST_URL, URL
from services.registration_service.models import Exam, Image, LedgerEntry
from services.registration_service.registration import UNKNOWN_MODALITY, Registration
from shared.events import LATEST_VERSION, AccessionNumber, ExamId, PatientId, Principals
from shared.texts import LONGEST_PROSE, Name, Prose
from shared.timestamps import Timestamp

Uid = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9]+(\.[0-9]+)*$", examples=["1.2.840.1"])]
OrthancId = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[0-9a-f-]+$")]


class ImageToRegister(BaseModel):
    """The body of a registration. A null date or modality falls back as it does for an image registered by event."""

    model_config = ConfigDict(extra="ignore")

    examenID: ExamId
    studyInstanceUID: Uid
    seriesInstanceUID: Uid
    sopInstanceUID: Uid
    dateAcquisition: Timestamp | None
    modalite: Annotated[Name, Field(min_length=1, max_length=50)] | None
    description: Annotated[Prose, Field(max_length=LONGEST_PROSE)]
    url: Annotated[str, Field(max_length=LONGEST_URL, pattern=URL)] | None = None
    orthancInstanceId: OrthancId | None = None

    def wanted(self, entry: LedgerEntry | None, actor: str) -> Registration:
        """The registration that this asks for."""
        return Registration(
            exam_id=self.examenID,
            study_instance_uid=self.studyInstanceUID,
            series_instance_uid=self.seriesInstanceUID,
            sop_instance_uid=self.sopInstanceUID,
            acquired_at=self.dateAcquisition or (entry.first_seen if entry else datetime.now(UTC)),
            modalite=self.modalite or UNKNOWN_MODALITY,
            description=self.description,
            url=self.url,
            by="http",
            actor=actor,
        )


class ImageRecord(BaseModel):
    """A registered image."""

    imageID: str
    examenID: str
    studyInstanceUID: str
    seriesInstanceUID: str
    sopInstanceUID: str
    dateAcquisition: Timestamp
    modalite: str
    description: str
    url: str | None
    orthancInstanceId: str | None

    @classmethod
    def of(cls, image: Image) -> "ImageRecord":
        """The record as JSON shows it."""
        return cls(
            imageID=image.image_id,
            examenID=image.exam_id,
            studyInstanceUID=image.study_instance_uid,
            seriesInstanceUID=image.series_instance_uid,
            sopInstanceUID=image.sop_instance_uid,
            dateAcquisition=image.acquired_at,
            modalite=image.modalite,
            description=image.description,
            url=image.url,
            orthancInstanceId=image.orthanc_id,
        )


class ImagePage(BaseModel):
    """Some of an exam's images, and the cursor of those that follow."""

    items: list[ImageRecord]
    next: str | None


class ImageMove(BaseModel):
    """The exam that a wrongly linked image belongs to."""

    examenID: ExamId


class ExamToUpsert(BaseModel):
    """The whole exam: an omitted field becomes empty."""

    model_config = ConfigDict(extra="ignore")

    accessionNumber: AccessionNumber | None = None
    patientID: PatientId | None = None
    principals: Principals = []
    version: Annotated[int, Field(ge=0, le=LATEST_VERSION, strict=True)] | None = None


class ExamRecord(BaseModel):
    """An exam as it stands."""

    examenID: str
    accessionNumber: str | None
    patientID: str | None
    principals: list[str]
    version: int

    @classmethod
    def of(cls, exam: Exam) -> "ExamRecord":
        """The exam as JSON shows it."""
        return cls(
            examenID=exam.exam_id,
            accessionNumber=exam.accession_number,
            patientID=exam.patient_id,
            principals=exam.principals,
            version=exam.version,
        )


class RegistrationState(BaseModel):
    """What became of a stored image."""

    orthancInstanceId: str
    sopInstanceUID: str
    state: str
    code: str | None
    reason: str | None
    imageID: str | None
