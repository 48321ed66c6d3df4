"""How far Orthanc's changes were read, and who reads on: of several reconcilers one leads, the others stand by."""

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service.feed import Change, Place
from services.registration_service.models import ReconcilerCursor

_LEADER_LOCK = 0x7265636F
_ONLY = 1


async def leads(session: AsyncSession) -> bool:
    """Whether this transaction may change what the reconciler keeps; another one's may right now otherwise."""
    return bool(await session.scalar(select(func.pg_try_advisory_xact_lock(_LEADER_LOCK))))


async def standing(session: AsyncSession, *, hold: bool = False) -> ReconcilerCursor | None:
    """The cursor; None before the first start. `hold` locks it until the transaction ends."""
    return await session.get(ReconcilerCursor, _ONLY, with_for_update=hold or None, populate_existing=True)


async def begin(session: AsyncSession, place: Place) -> None:
    """Make the cursor, or put it where the feed now ends; a full compare finds what was not read before."""
    values = {
        "seq": place.seq,
        "change_id": place.change.resource_id if place.change else None,
        "change_type": place.change.kind if place.change else None,
        "change_date": place.change.date if place.change else None,
        "compare_wanted": func.now(),
    }
    made = insert(ReconcilerCursor).values(id=_ONLY, **values)
    await session.execute(made.on_conflict_do_update(index_elements=[ReconcilerCursor.id], set_=values))


def move(cursor: ReconcilerCursor, change: Change) -> None:
    """The change is the last one that was read."""
    cursor.seq, cursor.change_id = change.seq, change.resource_id
    cursor.change_type, cursor.change_date = change.kind, change.date


def place_of(cursor: ReconcilerCursor) -> Place:
    """The place in the feed that the cursor means."""
    if cursor.change_id is None:
        return Place(cursor.seq, None)
    kind, date = cursor.change_type or "", cursor.change_date or ""
    return Place(cursor.seq, Change(cursor.seq, cursor.change_id, kind, date))
