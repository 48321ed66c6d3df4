"""Compares all that Orthanc has with all that the ledger says it has: what the change feed did not tell comes out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, select

from services.registration_service import arrivals, cursor
from services.registration_service.database import Database
from services.registration_service.ledger import State
from services.registration_service.models import LedgerEntry, ReconcilerCursor
from services.registration_service.pacs import find_instances
from services.registration_service.settings import ReconcilerSettings
from services.registration_service.vanished import settle_vanished
from shared.errors import OrthancNonsense
from shared.orthanc import Orthanc

log = structlog.get_logger()


@dataclass(frozen=True)
class Vanished:
    """Rows that Orthanc did not list: their ids, unless they are more than can be believed."""

    ids: list[str]
    too_many: bool


class FullCompare:
    """Brings missing images into the ledger, and marks those that are gone; a mass of them is an alarm instead."""

    def __init__(self, database: Database, orthanc: Orthanc, settings: ReconcilerSettings) -> None:
        self._database = database
        self._orthanc = orthanc
        self._settings = settings

    async def compare_if_due(self) -> None:
        """Compare on schedule, after an alarm, and when the cursor owes it."""
        began = await self._due()
        if began is not None:
            await self.compare(began)

    async def compare(self, began: datetime) -> None:
        """Compare now; `began` is the database's time of it."""
        listed = await self._note_all()
        vanished = await self._vanished(listed, began)
        if vanished.too_many:
            log.error("compare.alarm", listed=len(listed), not_listed_at_least=len(vanished.ids))
        else:
            await settle_vanished(self._database, self._orthanc, vanished.ids)
        async with self._database.transaction() as session:
            standing = await cursor.standing(session, hold=True)
            if standing is not None:
                _finish(standing, began, alarm=vanished.too_many)
        log.info("compare.done", listed=len(listed), not_listed=len(vanished.ids), alarm=vanished.too_many)

    async def _due(self) -> datetime | None:
        """The database's time if a compare is due and this process leads."""
        async with self._database.transaction() as session:
            standing = await cursor.standing(session) if await cursor.leads(session) else None
            now = await session.scalar(select(func.now()))
        if standing is None or now is None:
            return None
        wanted, last = standing.compare_wanted, standing.last_full_compare
        pause = self._settings.compare_again_seconds if standing.alarm else self._settings.compare_every_seconds
        due = wanted is not None or last is None or last + timedelta(seconds=pause) <= now
        return now if due else None

    async def _note_all(self) -> set[bytes]:
        """The ids of all images in Orthanc, as bytes (some 90 MB for a million); those without a row get one."""
        listed: set[bytes] = set()
        async for ids in self._pages():
            listed.update(map(_key, ids))
            found = await find_instances(self._orthanc, ids)
            async with self._database.transaction() as session:
                missing = await arrivals.without_row(session, ids)
                new = [image for image in found.values() if image.orthanc_id in missing or image.parked]
                await arrivals.note(session, new, self._settings)
        return listed

    async def _pages(self) -> AsyncIterator[list[str]]:
        since, limit = 0, self._settings.compare_page
        while True:
            ids = await self._orthanc.read("/instances", since=since, limit=limit)
            if not isinstance(ids, list):
                raise OrthancNonsense(what="no list of instances")
            if ids:
                yield ids
            if len(ids) < limit:
                return
            # A little back: what is deleted meanwhile moves the rest forward.
            since += limit - min(limit // 10, self._settings.changes_overlap)

    async def _vanished(self, listed: set[bytes], began: datetime) -> Vanished:
        """The rows of images that were there before the compare began, and were not listed."""
        row = LedgerEntry
        there = (row.state != State.DELETED, row.first_seen < began)
        async with self._database.transaction() as session:
            rows = await session.scalar(select(func.count()).select_from(row).where(*there)) or 0
        most = max(self._settings.vanished_at_most, self._settings.vanished_share * rows)
        ids: list[str] = []
        after = ""
        while True:
            query = select(row.orthanc_id).where(*there, row.orthanc_id > after).order_by(row.orthanc_id)
            async with self._database.transaction() as session:
                page = (await session.scalars(query.limit(self._settings.compare_page))).all()
            ids += [orthanc_id for orthanc_id in page if _key(orthanc_id) not in listed]
            if len(ids) > most:
                return Vanished(ids, too_many=True)
            if len(page) < self._settings.compare_page:
                return Vanished(ids, too_many=False)
            after = page[-1]


def _finish(standing: ReconcilerCursor, began: datetime, *, alarm: bool) -> None:
    """A compare that is owed since after this one began is still owed."""
    standing.last_full_compare, standing.alarm = began, alarm
    if standing.compare_wanted is not None and standing.compare_wanted <= began:
        standing.compare_wanted = None


def _key(orthanc_id: str) -> bytes:
    """An id in the least memory; one that is not Orthanc's usual hash as it is."""
    try:
        return bytes.fromhex(orthanc_id.replace("-", ""))
    except ValueError:
        return orthanc_id.encode()
