"""Has the reconciler do at once what it does by itself in time. It is another process: this only asks it to."""

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import audit, cursor
from services.registration_service.ledger import State
from services.registration_service.models import LedgerEntry
from services.registration_service.ops.schemas import ReconcileStarted

log = structlog.get_logger()


async def reconcile(session: AsyncSession, operator: str, reason: str | None, *, full: bool) -> ReconcileStarted:
    """Tell every undecided image anew now, and, if `full`, compare all of Orthanc with the ledger."""
    started = await session.scalar(select(func.now()))
    assert started is not None, "a database has a clock"
    seen = update(LedgerEntry).where(LedgerEntry.state == State.SEEN).values(publish_after=func.now())
    due = (await session.scalars(seen.returning(LedgerEntry.orthanc_id))).all()
    standing = await cursor.standing(session, hold=True) if full else None
    if standing is not None:  # before the reconciler's first start a full compare is owed anyway
        standing.compare_wanted = started
    outcome = "full" if full else "undecided"
    audit.append(session, actor=operator, action="reconcile", outcome=outcome, reason=reason)
    log.warning("reconcile.asked", full=full, undecided=len(due), operator=operator)
    return ReconcileStarted(started=started, full=full, undecided=len(due))
