"""What registration said about registered images, kept for seconds, and void once it says that rights have changed."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import Counter, Gauge
from pydantic import BaseModel, Field

from services.preview_service.settings import RegistrationSettings

HITS = Counter("examflow_rights_hits", "Permission questions answered from what registration had said before")
MISSES = Counter("examflow_rights_misses", "Permission questions that registration was asked")
ENTRIES = Gauge("examflow_rights_remembered", "Answers of registration that are kept")
REGISTERED = "registered"


class Sibling(BaseModel):
    """Of another image of the same series and exam, what is not as with the one that was asked for."""

    orthanc_id: str = Field(alias="orthancInstanceId")
    sop_instance_uid: str = Field(alias="sopInstanceUID")
    uploaders: frozenset[str]
    digest: str | None
    modality: str | None


class Known(BaseModel):
    """Registration's answer about one instance. `principals` are None while it is in no exam."""

    orthanc_id: str = Field(alias="orthancInstanceId")
    study_instance_uid: str = Field(alias="studyInstanceUID")
    series_instance_uid: str = Field(alias="seriesInstanceUID")
    sop_instance_uid: str = Field(alias="sopInstanceUID")
    state: str
    exam_id: str | None = Field(alias="examenID")
    principals: frozenset[str] | None
    uploaders: frozenset[str]
    digest: str | None
    modality: str | None
    epoch: int | None
    siblings: tuple[Sibling, ...] = ()

    def alone(self) -> "Known":
        """Without its siblings."""
        return self.model_copy(update={"siblings": ()})

    def like(self, sibling: Sibling) -> "Known":
        """What is known of a sibling."""
        return self.alone().model_copy(update=dict(sibling))

    @property
    def named(self) -> int:
        """How long the names in it are, in characters: the part of an answer that has no bound."""
        return sum(map(len, (self.principals or frozenset()) | self.uploaders))


@dataclass(frozen=True)
class Asked:
    """When a question was sent: an answer counts from then, and not if all was forgotten since."""

    at: float
    emptied: int


@dataclass(frozen=True)
class _Kept:
    known: Known
    exam_id: str
    until: float


class Remembered:
    """Answers by their question, the least used forgotten first; and the epochs that exams were last told to have.

    An image that is not registered may become so at any moment, and nothing tells of it: it is never kept.
    """

    def __init__(self, settings: RegistrationSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._questions: dict[str, set[str]] = {}
        self._told: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._emptied = 0

    def find(self, question: str) -> Known | None:
        """The answer that still holds, if there is one."""
        kept = self._kept.get(question)
        if kept is None or kept.until <= self._clock():
            MISSES.inc()
            return None
        self._kept.move_to_end(question)
        HITS.inc()
        return kept.known

    def asked(self) -> Asked:
        """To be noted before registration is asked."""
        return Asked(self._clock(), self._emptied)

    def keep(self, question: str, known: Known, asked: Asked) -> None:
        """Keep an answer, if it is one to keep."""
        self._forget(question)
        if known.state != REGISTERED or known.principals is None or known.exam_id is None:
            return
        if asked.emptied != self._emptied or known.named > self._settings.remembered_characters:
            return
        self._kept[question] = _Kept(known, known.exam_id, asked.at + self._settings.remembered_seconds)
        self._questions.setdefault(known.exam_id, set()).add(question)
        if len(self._kept) > self._settings.remembered:
            self._forget(next(iter(self._kept)))
        ENTRIES.set(len(self._kept))

    def is_outdated(self, known: Known) -> bool:
        """Whether the exam has been told to have a later epoch: the answer was on its way when that changed."""
        epoch, until = self._told.get(known.exam_id or "", (0, 0.0))
        return known.epoch is not None and known.epoch < epoch and self._clock() < until

    def void(self, exam_id: str, epoch: int) -> None:
        """The exam's rights have changed: no answer of before holds. Told twice, or late, it does no harm."""
        for question in list(self._questions.get(exam_id, ())):
            if (self._kept[question].known.epoch or 0) < epoch:
                self._forget(question)
        before, _ = self._told.pop(exam_id, (0, 0.0))
        self._told[exam_id] = max(before, epoch), self._clock() + self._settings.told_seconds
        if len(self._told) > self._settings.told:
            self._told.popitem(last=False)

    def empty(self) -> None:
        """Forget every answer, those that are on their way too: nobody knows what has changed meanwhile."""
        self._emptied += 1
        self._kept.clear()
        self._questions.clear()
        ENTRIES.set(0)

    def _forget(self, question: str) -> None:
        kept = self._kept.pop(question, None)
        if kept is None:
            return
        ENTRIES.set(len(self._kept))
        others = self._questions[kept.exam_id]
        others.discard(question)
        if not others:
            del self._questions[kept.exam_id]
