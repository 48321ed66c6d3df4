"""Which exam an image belongs to, if any: the one that was named, else the only one with its accession number."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import operators_word
from services.registration_service.ledger import State
from services.registration_service.models import Exam, LedgerEntry
from shared.events import Origin
from shared.permission import ALL_EXAMS, Caller, may_see_exam

UNLINKED = "unlinked"


@dataclass(frozen=True)
class NotNow:
    """Why an image is not registered: a code for programs, a sentence for people."""

    state: State
    code: str
    reason: str


class Exams:
    """The exams that some images may belong to, read at once."""

    def __init__(self, found: Sequence[Exam]) -> None:
        self._by_id = {exam.exam_id: exam for exam in found}
        self._by_number: dict[str, list[Exam]] = {}
        for exam in found:
            if exam.accession_number:
                self._by_number.setdefault(exam.accession_number, []).append(exam)

    @classmethod
    async def of(cls, session: AsyncSession, entries: Sequence[LedgerEntry]) -> "Exams":
        """Those that the images name, and those that have their accession numbers."""
        names = {entry.wanted_exam_id for entry in entries if entry.wanted_exam_id}
        numbers = {entry.accession_number for entry in entries if entry.accession_number and not entry.wanted_exam_id}
        either = Exam.exam_id.in_(names) | Exam.accession_number.in_(numbers)
        return cls((await session.scalars(select(Exam).where(either))).all())

    def match(self, entry: LedgerEntry) -> Exam | NotNow:
        """The image's exam. Who named it must be allowed to write it; for a number, anyone who brought the image."""
        found: Exam | NotNow | None
        if entry.wanted_exam_id:
            found, origins = self._by_id.get(entry.wanted_exam_id), [entry.origin]
            if found is None:
                return NotNow(State.WAITING, "exam-unknown", f"exam {entry.wanted_exam_id} is not open yet")
        else:
            found, origins = self._numbered(entry), entry.origins
        if isinstance(found, NotNow) or operators_word.assigned_by(entry):
            return found
        if not any(permitted(Origin.model_validate(origin), found) for origin in origins if origin):
            return NotNow(State.WAITING, "not-a-principal", "the uploader is not one of the exam's principals")
        return found

    def _numbered(self, entry: LedgerEntry) -> Exam | NotNow:
        number = entry.accession_number
        if operators_word.unlinked_from(entry):
            return unlinked_now()
        if not number:
            return NotNow(State.WAITING, "no-exam-named", "no exam was named, and the image has no accession number")
        exams = self._by_number.get(number, [])
        if not exams:
            return NotNow(State.WAITING, "accession-unknown", f"no exam has the accession number {number} yet")
        if len(exams) > 1:
            reason = f"several exams have the accession number {number}"
            return NotNow(State.WAITING, "accession-ambiguous", reason)
        return exams[0]


def unlinked_now() -> NotNow:
    """Why an image waits that an operator took out of its exam."""
    reason = "an operator took it out of the exam that it was registered under; it waits until one is named anew"
    return NotNow(State.WAITING, UNLINKED, reason)


async def numbered_elsewhere(session: AsyncSession, entry: LedgerEntry, exam: Exam) -> bool:
    """Whether the image's accession number speaks against the exam: it is another's, or the exam has another one."""
    number = entry.accession_number
    if not number or exam.accession_number == number:
        return False
    others = select(Exam.exam_id).where(Exam.accession_number == number)
    return exam.accession_number is not None or await session.scalar(others.limit(1)) is not None


def is_trusted(origin: Origin) -> bool:
    """Modalities and partners are trusted to have named the right exam by the image's accession number.

    So is an upload of which nobody knows any more who sent it: it came through the gate, and only that number can still
    say where it belongs.
    """
    return origin.kind in ("modality", "partner") or (origin.kind == "upload-recovered" and origin.actor is None)


def permitted(origin: Origin, exam: Exam) -> bool:
    """An uploader must be allowed to write the exam; who has no person behind it is trusted."""
    if is_trusted(origin):
        return True
    scopes = frozenset({ALL_EXAMS}) if origin.all_exams else frozenset[str]()
    return may_see_exam(Caller(origin.actor or "", scopes, tuple(origin.groups)), exam.principals)
