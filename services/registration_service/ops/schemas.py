"""The JSON of the operators' routes. No field holds a name, a description or any other DICOM text."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from services.registration_service.ops.schemas_dead_letters import DeadLetter
from shared.events import ExamId
from shared.texts import LINE
from shared.timestamps import Timestamp

# Goes into the audit trail and is shown to operators; it must not name a patient.
Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=LINE),
    Field(description="why, for the audit trail; never a patient's name"),
]


class WhyAsked(BaseModel):
    """Why an operator does something."""

    reason: Reason


class ExamAsked(WhyAsked):
    """The exam that an image belongs to, and why."""

    examenID: ExamId


class ReconcileAsked(BaseModel):
    """`full` compares all of Orthanc with the ledger."""

    full: bool = False
    reason: Reason | None = None


class ImageOutcome(BaseModel):
    """An image after an operator's word."""

    orthancInstanceId: str | None
    sopInstanceUID: str
    state: str | None = Field(description="null for an image whose file never came")
    code: str | None = None
    reason: str | None = None
    examenID: str | None = Field(None, description="the exam it is registered under, or waits for")
    imageID: str | None = None


class Cause(BaseModel):
    """Images that are not registered for one and the same reason. `cause` filters the list for them."""

    state: str
    cause: str | None
    reason: str | None
    examenID: str | None
    accessionNumber: str | None
    count: int
    first: Timestamp


class WaitingImage(BaseModel):
    """An image that is not registered, and why."""

    orthancInstanceId: str
    sopInstanceUID: str
    state: str
    code: str | None
    reason: str | None
    examenID: str | None = Field(description="the exam that was named for it")
    assignedBy: str | None = Field(description="the operator who named it")
    unlinkedFrom: list[str]
    conflictExamenID: str | None
    accessionNumber: str | None
    received: Timestamp
    since: Timestamp
    uploaders: list[str]
    kind: str | None
    aet: str | None


class WaitingPage(BaseModel):
    """Some images that are not registered, by how long; all of them by cause, the commonest first."""

    causes: list[Cause]
    moreCauses: bool
    items: list[WaitingImage]
    next: str | None


class Queue(BaseModel):
    """A queue as the broker counts it: what is ready, without what is in hand. Null where there is no such queue."""

    queue: str
    messages: int | None
    consumers: int | None


class Consumer(BaseModel):
    """A queue that registration consumes from. Messages and consumers are null while the broker is away."""

    queue: str
    messages: int | None
    consumers: int | None
    paused: bool
    pausedBy: str | None = None
    reason: str | None = None
    since: Timestamp | None = None


class Consumers(BaseModel):
    """All queues that can be paused."""

    items: list[Consumer]


class ReconcilerState(BaseModel):
    """How far Orthanc's changes were read, and what is owed. Null fields before the reconciler's first start."""

    cursor: int | None
    lastFullCompare: Timestamp | None
    compareWanted: Timestamp | None
    alarm: bool


class LedgerCounts(BaseModel):
    """What the database tells. `oldestUndecided` and `oldestAnnouncement` are null where there is none."""

    states: dict[str, int]
    causes: list[Cause]
    moreCauses: bool
    waitingLong: int = Field(description="have waited so long that a person is needed")
    refusedLately: int
    undecidedLate: int = Field(description="seen for a minute, and not decided")
    oldestUndecided: Timestamp | None
    outbox: int = Field(description="announcements that are not sent yet")
    oldestAnnouncement: Timestamp | None
    paused: list[Consumer]
    reconciler: ReconcilerState


class Finding(BaseModel):
    """What needs a person, in words, and the command that shows more."""

    code: str
    says: str
    command: str | None = None


class Status(BaseModel):
    """Everything an operator asks first. A part is null where the server that tells it does not answer."""

    time: Timestamp
    verdict: Literal["fine", "needs-a-person", "cannot-tell"]
    says: str
    findings: list[Finding]
    answers: dict[str, str]
    unaccounted: int | None = Field(description="images in Orthanc for a minute that nobody has decided about")
    ledger: LedgerCounts | None
    queues: list[Queue] | None


class ReconcileStarted(BaseModel):
    """What a reconcile began. A full compare is over when `lastFullCompare` in the status is not before `started`."""

    started: Timestamp
    full: bool
    undecided: int = Field(description="images that are told anew at once")


class Hop(BaseModel):
    """One step of an image's way. `at` is null where the time is not known, or it has not happened."""

    hop: Literal["received", "stored", "event", "decided", "registered", "announced"]
    state: Literal["done", "pending", "failed", "unknown"]
    at: Timestamp | None
    says: str


class Act(BaseModel):
    """A record of the audit trail about the image."""

    at: Timestamp
    actor: str
    action: str
    outcome: str
    examenID: str | None
    reason: str | None


class Advice(BaseModel):
    """What is wrong, and what to type next."""

    says: str
    command: str | None


class Timeline(BaseModel):
    """What happened to one image, hop by hop."""

    orthancInstanceId: str
    sopInstanceUID: str
    state: str
    code: str | None
    reason: str | None
    imageID: str | None
    examenID: str | None = Field(description="the exam it is registered under, or waits for")
    conflictExamenID: str | None
    accessionNumber: str | None
    correlationId: str | None
    hops: list[Hop]
    acts: list[Act]
    deadLetters: list[DeadLetter] | None = Field(description="null where they could not be looked at now")
    next: Advice | None
