"""What the audit trail says: about an exam, and about itself."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service.models import (
    AuditEvent,
    AuditLink,
    AuditPruning,
    AuditUnsealed,
    Exam,
    Image,
)
from services.registration_service.paging import cursor_of, place_of
from services.registration_service.trail.sealing import content
from shared.audit_chain import Link, Place, Pruning
from shared.errors import ExamUnknown

_OUTSIDE_SHOWN = 10
_SEALED_WITHIN = timedelta(minutes=1)


async def accesses(
    session: AsyncSession,
    exam_id: str,
    limit: int,
    cursor: str | None,
    since: datetime | None,
    until: datetime | None,
) -> tuple[Sequence[AuditEvent], str | None]:
    """Everything that was done to an exam and to the images that are now its own, newest first; and the next cursor.

    An image may have been seen before it was registered, or under another exam. Raises ExamUnknown where there is
    neither such an exam nor a record that names it.
    """
    its_images = select(Image.sop_instance_uid).where(Image.exam_id == exam_id)
    query = select(AuditEvent).where(or_(AuditEvent.exam_id == exam_id, AuditEvent.subject.in_(its_images)))
    if since is not None:
        query = query.where(AuditEvent.recorded_at >= since)
    if until is not None:
        query = query.where(AuditEvent.recorded_at < until)
    if cursor is not None:
        moment, identity = place_of(cursor)
        query = query.where(tuple_(AuditEvent.recorded_at, AuditEvent.record_id) < (moment, identity))
    newest = query.order_by(AuditEvent.recorded_at.desc(), AuditEvent.record_id.desc()).limit(limit + 1)
    found = (await session.scalars(newest)).all()
    if not found and cursor is None and await session.get(Exam, exam_id) is None:
        raise ExamUnknown
    last = found[limit - 1] if len(found) > limit else None
    return found[:limit], cursor_of(last.recorded_at, last.record_id) if last else None


async def links(session: AsyncSession, after: int, limit: int) -> list[Link]:
    """The links behind a place, in order."""
    joined = select(AuditLink, AuditEvent).outerjoin(AuditEvent, AuditEvent.id == AuditLink.event_id)
    found = await session.execute(joined.where(AuditLink.seq > after).order_by(AuditLink.seq).limit(limit))
    return [Link(Place(link.seq, link.hash), _covered(link, record)) for link, record in found]


async def last_pruning(session: AsyncSession) -> Pruning | None:
    """What was removed last, if anything was."""
    row = await session.scalar(select(AuditPruning).order_by(AuditPruning.to_seq.desc()).limit(1))
    return Pruning(Place(row.to_seq, row.hash), row.pruned_at, row.days) if row else None


async def unsealed(session: AsyncSession) -> int:
    """How many records wait for their place in the chain."""
    return await session.scalar(select(func.count()).select_from(AuditUnsealed)) or 0


async def outside(session: AsyncSession) -> Sequence[str]:
    """Some of the records that should be in the chain by now, and are not."""
    linked = select(AuditLink.seq).where(AuditLink.event_id == AuditEvent.id).exists()
    old = AuditEvent.recorded_at < func.now() - _SEALED_WITHIN
    query = select(AuditEvent.record_id).where(~linked, old).order_by(AuditEvent.id).limit(_OUTSIDE_SHOWN)
    return (await session.scalars(query)).all()


def _covered(link: AuditLink, record: AuditEvent | None) -> dict[str, str] | None:
    if record is None:
        return None
    return {name: value for name, value in content(record, link.sealed_at).items() if value is not None}
