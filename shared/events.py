"""The events on the wire: CloudEvents 1.0, structured JSON, one frozen model each; their shape is known here alone.

`type` is also the routing key on the exchange `medical-images`. Unknown fields are ignored and a new field has a
default, so publishers and consumers need not change together; a changed meaning is a new type.
No event names a patient: the HIS's opaque patientID travels in `exam.upserted` alone.
"""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError
from uuid_utils import uuid7

from shared.texts import LINE, LONGEST_PROSE, NOT_IN_NAME, Name, Prose
from shared.timestamps import Timestamp

CONTENT_TYPE = "application/cloudevents+json"
LATEST_VERSION = 2**63 - 1
# A pattern replaces another in pydantic: each holds the whole of its rule (shared/texts.py).
ExamId = Annotated[str, Field(min_length=1, max_length=36, pattern=f"^[^/{NOT_IN_NAME}]+$", examples=["EX-4711"])]
AccessionNumber = Annotated[str, Field(max_length=64, pattern=f"^[^ {NOT_IN_NAME}][^{NOT_IN_NAME}]*$")]
PatientId = Annotated[str, Field(min_length=1, max_length=64, pattern=f"^[^{NOT_IN_NAME}]+$")]
Principal = Annotated[str, Field(max_length=255, pattern=f"^(user|group):[^{NOT_IN_NAME}]+$")]
Principals = Annotated[list[Principal], Field(max_length=1000)]
AuditText = Annotated[str, Field(pattern=LINE)]
AUDIT_RECORDS_AT_ONCE = 500  # in one message
_CAPITAL_ID = {"examen_id", "from_examen_id", "to_examen_id", "image_id", "patient_id"}


def wire_name(field: str) -> str:
    """The camelCase of the contract: `sopInstanceUID`, `remoteIP` and `examenID`, but Orthanc's own `...Id`."""
    head, _, last = field.rpartition("_")
    if last in ("uid", "ip") or field in _CAPITAL_ID:
        return to_camel(head) + last.upper()
    return to_camel(field)


class Wire(BaseModel):
    """JSON in camelCase, read leniently, never changed after it was made."""

    model_config = ConfigDict(
        alias_generator=wire_name, validate_by_name=True, serialize_by_alias=True, frozen=True, extra="ignore"
    )


class EventData(Wire):
    """What an event is about; `event_type` is the CloudEvents `type` and the routing key."""

    event_type: ClassVar[str]


DataT = TypeVar("DataT", bound=EventData)


class Event(BaseModel, Generic[DataT]):
    """A CloudEvents 1.0 envelope with the extension `correlationid`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: Name = Field(default_factory=lambda: str(uuid7()), min_length=1, max_length=64)
    source: Name = Field(min_length=1, max_length=200, description="/examflow/<service> or /partner/<user>")
    type: Name
    subject: Name = Field(min_length=1, max_length=255, description="the Orthanc id or the examenID")
    time: Timestamp = Field(default_factory=lambda: datetime.now(UTC))
    datacontenttype: Literal["application/json"] = "application/json"
    correlationid: Name | None = Field(None, max_length=64)
    data: DataT

    @classmethod
    def about(cls, data: DataT, *, source: str, subject: str, correlation_id: str | None) -> "Event[DataT]":
        """A new event: its id is a UUIDv7, its time now."""
        return cls(source=source, type=data.event_type, subject=subject, correlationid=correlation_id, data=data)


class Origin(Wire):
    """Who brought an image, and how."""

    kind: Literal["upload", "upload-recovered", "modality", "partner"]
    actor: Name | None = Field(None, max_length=255, description="the uploader's `sub`, or the partner's user")
    groups: list[Annotated[Name, Field(max_length=255)]] = []
    all_exams: bool = False
    aet: Name | None = Field(None, max_length=64)
    remote_ip: Name | None = Field(None, max_length=64)


class Context(Wire):
    """What the uploader said about the image: the exam it belongs to, and a description."""

    examen_id: Name | None = Field(None, max_length=36)
    description: Prose = Field("", max_length=LONGEST_PROSE)


class DicomStored(EventData):
    """An image is in Orthanc. `digest` is the MD5 of the stored file in hex, `size` its bytes."""

    event_type = "dicom.stored"

    orthanc_instance_id: Name = Field(min_length=1, max_length=255)
    orthanc_series_id: Name = Field(max_length=255)
    orthanc_study_id: Name = Field(max_length=255)
    orthanc_patient_id: Name = Field(max_length=255)
    study_instance_uid: Name = Field(min_length=1, max_length=64)
    series_instance_uid: Name = Field(min_length=1, max_length=64)
    sop_instance_uid: Name = Field(min_length=1, max_length=64)
    sop_class_uid: Name | None = Field(None, max_length=64)
    modality: Name | None = Field(None, max_length=50)
    acquisition_date: Timestamp | None = None
    accession_number: Name | None = Field(None, max_length=64)
    size: int = Field(ge=0, le=2**63 - 1)
    digest: str = Field(pattern=r"^[0-9a-f]{32}$")
    origin: Origin
    context: Context = Context()


class ExamUpserted(EventData):
    """An exam was opened or replaced: an omitted field becomes empty; a lower or equal version changes nothing."""

    event_type = "exam.upserted"

    examen_id: ExamId
    accession_number: AccessionNumber | None = None
    patient_id: PatientId | None = None
    principals: Principals = []
    version: Annotated[int, Field(ge=0, le=LATEST_VERSION, strict=True)]

    @field_validator("examen_id")
    @classmethod
    def _is_no_word_of_addresses(cls, examen_id: str) -> str:
        if examen_id == "images":  # /examens-medicaux/images is another address
            raise PydanticCustomError("reserved", "is a word of the HTTP addresses")
        return examen_id


class ImageRegistered(EventData):
    """An image record was made (`created`) or filled in."""

    event_type = "image.registered"

    image_id: str
    examen_id: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    orthanc_instance_id: str | None
    date_acquisition: Timestamp
    modalite: str
    url: str | None
    created: bool


class ImageWaiting(EventData):
    """An image waits for its exam: the exam named or the accession number that no exam has yet."""

    event_type = "image.waiting"

    orthanc_instance_id: str
    sop_instance_uid: str
    examen_id: str | None = None
    accession_number: str | None = None
    code: str
    reason: str


class ImageRefused(EventData):
    """A rule said no to an image, or to a second exam for it."""

    event_type = "image.refused"

    orthanc_instance_id: str
    sop_instance_uid: str
    examen_id: str | None = Field(None, description="the exam that was asked for")
    code: str
    reason: str


class ImageMoved(EventData):
    """A wrongly linked image was moved to another exam."""

    event_type = "image.moved"

    image_id: str
    sop_instance_uid: str
    orthanc_instance_id: str | None
    from_examen_id: str
    to_examen_id: str


class ExamRightsChanged(EventData):
    """Who may see an exam has changed, or an image has left it; answers about it older than `epoch` are void."""

    event_type = "exam.rights-changed"

    examen_id: str
    epoch: int


class AuditRecord(Wire):
    """Who did what, when, from where, to which exam and image, and how it ended (after FHIR R4 AuditEvent).

    `subject` is the SOP Instance UID of an image, else what the action is about; `reason` a code or a person's words.
    """

    record_id: str = Field(default_factory=lambda: str(uuid7()), min_length=1, max_length=64)
    time: Timestamp = Field(default_factory=lambda: datetime.now(UTC))
    actor: AuditText | None = Field(None, max_length=255, description="the token's `sub`; null where nobody was known")
    action: AuditText = Field(min_length=1, max_length=64, description="what was done: `image.view`, `exam.upsert`")
    outcome: AuditText = Field(min_length=1, max_length=64, description="`done`, `unchanged`, `denied`, `failed`, ...")
    examen_id: AuditText | None = Field(None, max_length=36)
    subject: AuditText | None = Field(None, max_length=255)
    reason: AuditText | None = Field(None, max_length=1000)
    correlation_id: AuditText | None = Field(None, max_length=64)
    remote_ip: AuditText | None = Field(None, max_length=64)


class AuditRecorded(EventData):
    """Records for the audit trail: those of requests in flight at one time share a message."""

    event_type = "audit.recorded"

    records: list[AuditRecord] = Field(min_length=1, max_length=AUDIT_RECORDS_AT_ONCE)
