"""Takes contexts off Orthanc's images once the ledger has decided about them: only then may another be parked there."""

import structlog
from sqlalchemy import select, update

from services.registration_service import arrivals
from services.registration_service.database import Database
from services.registration_service.ledger import State
from services.registration_service.models import LedgerEntry
from services.registration_service.pacs import parked_event
from services.registration_service.settings import ReconcilerSettings
from shared.orthanc import PARKED, Orthanc

log = structlog.get_logger()


class Unparking:
    """Deletes the metadata, then says so in the row: a crash between the two does it again."""

    def __init__(self, database: Database, orthanc: Orthanc, settings: ReconcilerSettings) -> None:
        self._database = database
        self._orthanc = orthanc
        self._batch = settings.unpark_batch

    async def take_off(self) -> None:
        """Go through all rows that are decided and parked."""
        while True:
            async with self._database.transaction() as session:
                decided = select(LedgerEntry).where(LedgerEntry.parked, LedgerEntry.state != State.SEEN)
                entries = (await session.scalars(decided.order_by(LedgerEntry.orthanc_id).limit(self._batch))).all()
            for entry in entries:
                await self._take_off(entry)
            if len(entries) < self._batch:
                return

    async def _take_off(self, entry: LedgerEntry) -> None:
        """Another context than the one merged, parked since, is merged instead of being lost."""
        event = parked_event(entry.orthanc_id, await self._orthanc.metadata(entry.orthanc_id, PARKED))
        if event is not None and not arrivals.is_merged(entry, event):
            async with self._database.transaction() as session:
                await arrivals.merge(session, event)
            return
        if event is not None:
            await self._orthanc.delete_metadata(entry.orthanc_id, PARKED)
            log.info("context.unparked", orthanc_id=entry.orthanc_id)
        async with self._database.transaction() as session:
            # Whatever was parked since has touched the row.
            same = (LedgerEntry.orthanc_id == entry.orthanc_id, LedgerEntry.last_seen == entry.last_seen)
            await session.execute(update(LedgerEntry).where(*same).values(parked=False))
