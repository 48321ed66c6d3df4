"""An image that Orthanc had and has no more: its row says `deleted`, its record stays."""

from collections.abc import Sequence

import structlog
from prometheus_client import Counter
from sqlalchemy import func, select, update

from services.registration_service import rights
from services.registration_service.database import Database
from services.registration_service.ledger import State
from services.registration_service.models import Image, LedgerEntry
from services.registration_service.pacs import really_gone
from shared.orthanc import Orthanc

log = structlog.get_logger()

DELETED = Counter("examflow_reconciler_deleted", "Images that the reconciler found deleted in Orthanc")
REASON = "the image was deleted in the PACS"


_AT_ONCE = 200


async def settle_vanished(database: Database, orthanc: Orthanc, ids: Sequence[str]) -> None:
    """Ask Orthanc for each, and note those that are gone."""
    for begin in range(0, len(ids), _AT_ONCE):
        await _settle_some(database, orthanc, ids[begin : begin + _AT_ONCE])


async def _settle_some(database: Database, orthanc: Orthanc, ids: Sequence[str]) -> None:
    """One that is stored again between question and note would stay `deleted`: it is asked for again afterwards."""
    gone = await really_gone(orthanc, ids)
    if not gone:
        return
    async with database.transaction() as session:
        # The exams before the ledger's rows, as an exam's upsert takes them.
        await rights.changed(session, await session.scalars(select(Image.exam_id).where(Image.orthanc_id.in_(gone))))
        values = {"state": State.DELETED, "code": "deleted", "reason": REASON, "decided_at": func.now()}
        await session.execute(update(LedgerEntry).where(LedgerEntry.orthanc_id.in_(gone)).values(**values))
    still_gone = set(await really_gone(orthanc, gone))
    back = [orthanc_id for orthanc_id in gone if orthanc_id not in still_gone]
    if back:
        async with database.transaction() as session:
            again = update(LedgerEntry).where(LedgerEntry.orthanc_id.in_(back), LedgerEntry.state == State.DELETED)
            await session.execute(again.values(state=State.SEEN, code=None, reason=None, publish_after=None))
    DELETED.inc(len(still_gone))
    for orthanc_id in sorted(still_gone):
        log.warning("image.deleted", orthanc_id=orthanc_id)
