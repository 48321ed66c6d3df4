"""Opening and changing an exam: versions decide the order, and what waited for the exam is registered at once."""

import time
from dataclasses import dataclass

import structlog
from sqlalchemy import and_, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import audit, rights
from services.registration_service.intake import decide
from services.registration_service.ledger import State
from services.registration_service.locks import lock_for_accessions, lock_for_exam
from services.registration_service.models import Exam, LedgerEntry
from shared.events import ExamUpserted

log = structlog.get_logger()


@dataclass(frozen=True)
class Upserted:
    """The exam as it stands now, and whether this upsert opened it."""

    exam: Exam
    created: bool


def version_now() -> int:
    """The version of an upsert that names none: microseconds since 1970."""
    return time.time_ns() // 1000


async def upsert(session: AsyncSession, wanted: ExamUpserted, actor: str) -> Upserted:
    """Open or replace an exam; a lower or equal version changes nothing."""
    await lock_for_exam(session, wanted.examen_id)
    exam = await session.get(Exam, wanted.examen_id, with_for_update=True)
    if exam is not None and wanted.version <= exam.version:
        return Upserted(exam, created=False)
    created = exam is None
    before = exam.accession_number if exam else None
    await lock_for_accessions(session, before, wanted.accession_number)
    if exam is None:
        exam = await _open(session, wanted)
    else:
        await _replace(session, exam, wanted)
    audit.append(
        session, actor=actor, action="exam.upsert", outcome="created" if created else "changed", exam_id=exam.exam_id
    )
    await session.flush()
    await _register_waiting(session, exam, before)
    return Upserted(exam, created)


async def _open(session: AsyncSession, wanted: ExamUpserted) -> Exam:
    new = insert(Exam).values(
        exam_id=wanted.examen_id,
        accession_number=wanted.accession_number,
        patient_id=wanted.patient_id,
        principals=list(wanted.principals),
        version=wanted.version,
    )
    return (await session.scalars(new.returning(Exam))).one()


async def _replace(session: AsyncSession, exam: Exam, wanted: ExamUpserted) -> None:
    if set(exam.principals) != set(wanted.principals):
        await rights.changed(session, [exam.exam_id])
    exam.accession_number, exam.patient_id = wanted.accession_number, wanted.patient_id
    exam.principals, exam.version = list(wanted.principals), wanted.version


async def _register_waiting(session: AsyncSession, exam: Exam, before: str | None) -> None:
    """Decide anew about every image that waits for this exam, by its name or by its accession number.

    Images with the number that the exam had `before` too: it may be another exam's alone now.
    """
    named = LedgerEntry.wanted_exam_id == exam.exam_id
    numbers = [number for number in (exam.accession_number, before) if number]
    by_accession = and_(LedgerEntry.wanted_exam_id.is_(None), LedgerEntry.accession_number.in_(numbers))
    waiting = await session.scalars(
        select(LedgerEntry)
        .where(LedgerEntry.state == State.WAITING, or_(named, by_accession))
        .order_by(LedgerEntry.first_seen)
        .with_for_update()
    )
    entries = waiting.all()
    await decide(session, *entries)
    if entries:
        registered = sum(entry.state == State.REGISTERED for entry in entries)
        log.info("exam.waiting-decided", exam=exam.exam_id, waited=len(entries), registered=registered)
