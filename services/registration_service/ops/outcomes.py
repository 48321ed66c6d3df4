"""What one event does, and what came of it in words."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import audit, exams, ledger
from services.registration_service.consumers import NOBODY
from services.registration_service.intake import take_in
from services.registration_service.ledger import State
from services.registration_service.models import Exam
from shared.events import AuditRecorded, DicomStored, Event, ExamUpserted

Result = Literal["create", "change", "skip", "wait", "refuse", "fail"]


@dataclass(frozen=True)
class Outcome:
    """create or change: it would be done; skip: it is done already; wait; refuse; fail: a dead letter again."""

    result: Result
    code: str
    reason: str
    field: str | None = None


@dataclass(frozen=True)
class Stored:
    """An image's event, who published it, and what is believed of it."""

    event: Event[DicomStored]
    publisher: str
    data: DicomStored
    happened: datetime

    @property
    def key(self) -> str:
        """The image's SOP Instance UID."""
        return self.data.sop_instance_uid

    async def happen(self, session: AsyncSession) -> Outcome:
        """The consumer's work, and what came of it."""
        before = await ledger.find(session, self.data.orthanc_instance_id)
        was, wish = before.state if before else None, self.data.context.examen_id
        entry = await take_in(session, self.data, self.happened)
        if entry.state != State.REGISTERED:
            result: Result = "refuse" if entry.state == State.REFUSED else "wait"
            return Outcome(result, entry.code or "", entry.reason or "")
        if wish is not None and wish == entry.conflict_exam_id:
            reason = "the image is registered under another exam, and the first one holds"
            return Outcome("refuse", "registered-elsewhere", reason, "data.context.examenID")
        if was == State.REGISTERED:
            return Outcome("skip", "registered-already", "the image is registered already")
        return Outcome("create", "registered", "the image would be registered")


@dataclass(frozen=True)
class Upserted:
    """An exam's event, and who published it."""

    event: Event[ExamUpserted]
    publisher: str

    @property
    def key(self) -> str:
        """The exam's id."""
        return self.event.data.examen_id

    async def happen(self, session: AsyncSession) -> Outcome:
        """The consumer's work, and what came of it."""
        before = await session.get(Exam, self.event.data.examen_id)
        version = before.version if before else None
        upserted = await exams.upsert(session, self.event.data, self.publisher or NOBODY)
        if upserted.created:
            return Outcome("create", "exam-opened", "the exam would be opened")
        if version is not None and self.event.data.version <= version:
            return Outcome("skip", "version-not-newer", "the exam has this version or a newer one", "data.version")
        return Outcome("change", "exam-replaced", "the exam would be replaced")


@dataclass(frozen=True)
class Recorded:
    """Audit records, and the service that keeps them."""

    event: Event[AuditRecorded]
    publisher: str

    @property
    def key(self) -> str:
        """The first record's id: messages share none, but where one came twice."""
        return self.event.data.records[0].record_id

    async def happen(self, session: AsyncSession) -> Outcome:
        """The consumer's work, and what came of it."""
        if await audit.told(session, self.event.data.records, self.publisher):
            return Outcome("create", "recorded", "the records would be added to the audit trail")
        return Outcome("skip", "recorded-already", "the audit trail has these records already")


Step = Stored | Upserted | Recorded
