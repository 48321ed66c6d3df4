"""What was sent and said, and what stands where: all that the balance is drawn from. Only words here, no reading."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.clients import Answer
from tests.chaos.images import Image


@dataclass(frozen=True)
class Stored:
    """An instance in Orthanc; `digest` is the MD5 of the file as it is read back, empty where it cannot be."""

    sop_uid: str
    digest: str


@dataclass(frozen=True)
class Record:
    """A row of images_medicales."""

    sop_uid: str
    exam: str
    orthanc_id: str | None
    description: str


@dataclass(frozen=True)
class Entry:
    """A row of the intake ledger."""

    state: str
    code: str | None = None
    reason: str | None = None
    wanted_exam: str | None = None
    conflict_exam: str | None = None
    accession: str | None = None
    uploaders: Sequence[str] = ()
    origin: str | None = None


@dataclass(frozen=True)
class Message:
    """A message of a queue: an event, or what was left of one."""

    event_id: str | None
    kind: str
    orthanc_id: str | None
    data: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None


@dataclass(frozen=True)
class Facts:
    """Everything, at one moment after the drain."""

    sent: Sequence[Image]
    answers: Sequence[Answer]
    stored: Mapping[str, Stored] = field(default_factory=dict)
    records: Sequence[Record] = ()
    ledger: Mapping[str, Entry] = field(default_factory=dict)
    exams: Mapping[str, str | None] = field(default_factory=dict)
    dead_letters: Sequence[Message] = ()
    told: Sequence[Message] = ()
    announced: Sequence[Message] = ()
    audited: AbstractSet[tuple[str, str]] = frozenset()  # SOP Instance UID and actor of uploads
    undone: Mapping[str, int] = field(default_factory=dict)
