"""Which image an operator means: by Orthanc id, SOP Instance UID or imageID, whatever was at hand."""

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import ledger
from services.registration_service.ledger import State
from services.registration_service.models import Image, LedgerEntry
from services.registration_service.ops.errors import NotInLedger, NotRegistered, SeveralImages
from services.registration_service.registration import existing_image

_NAMED_AT_MOST = 5


async def stored(session: AsyncSession, name: str, *, hold: bool = False) -> LedgerEntry:
    """The ledger row; `hold` locks it until the transaction ends. Raises NotInLedger, SeveralImages."""
    orthanc_id = _the_one(await _rows(session, name))
    entry = await ledger.find(session, orthanc_id, hold=hold)
    assert entry is not None, "ledger rows are never deleted"
    return entry


async def registered(session: AsyncSession, name: str) -> tuple[Image, LedgerEntry | None]:
    """The image record and its ledger row, both held; None for a record whose file never came.

    Raises NotRegistered, NotInLedger.
    """
    found = await _record(session, name)
    if found is None:
        entry = await stored(session, name)
        raise NotRegistered(state=entry.state, image=entry.orthanc_id)
    sop_instance_uid, orthanc_id = found
    # The row before the record, as an event takes them.
    row = await ledger.find(session, orthanc_id, hold=True) if orthanc_id else None
    image = await existing_image(session, sop_instance_uid)
    if image is None or image.orthanc_id != orthanc_id:
        raise NotRegistered(state="being changed by somebody else", image=orthanc_id or sop_instance_uid)
    return image, row


async def record_of(session: AsyncSession, orthanc_id: str) -> Image | None:
    """The record of a stored image."""
    return await session.scalar(select(Image).where(Image.orthanc_id == orthanc_id))


async def _record(session: AsyncSession, name: str) -> tuple[str, str | None] | None:
    """Its SOP Instance UID and Orthanc id."""
    means = or_(Image.image_id == name, Image.sop_instance_uid == name, Image.orthanc_id == name)
    found = (await session.execute(select(Image.sop_instance_uid, Image.orthanc_id).where(means).limit(1))).first()
    return (found[0], found[1]) if found else None


async def _rows(session: AsyncSession, name: str) -> Sequence[tuple[str, str]]:
    row = LedgerEntry
    by_record = select(Image.orthanc_id).where(Image.image_id == name).scalar_subquery()
    means = or_(row.orthanc_id == name, row.sop_instance_uid == name, row.orthanc_id == by_record)
    found = await session.execute(select(row.orthanc_id, row.state).where(means).limit(_NAMED_AT_MOST))
    return [(orthanc_id, state) for orthanc_id, state in found]


def _the_one(rows: Sequence[tuple[str, str]]) -> str:
    """An image that was deleted counts only where there is no other."""
    there = [row for row in rows if row[1] != State.DELETED] or rows[:1]
    if not there:
        raise NotInLedger(where_en="check the id", where_fr="vérifiez l'identifiant")
    if len(there) > 1:
        raise SeveralImages(images=", ".join(f"{orthanc_id} {state}" for orthanc_id, state in there))
    return there[0][0]
