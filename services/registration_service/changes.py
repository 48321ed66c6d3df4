"""Follows Orthanc's change feed: each page becomes ledger rows and a moved cursor, in one short transaction."""

import structlog

from services.registration_service import arrivals, cursor, feed
from services.registration_service.database import Database
from services.registration_service.feed import NEW_INSTANCE, UPDATED_METADATA, Change, Place
from services.registration_service.pacs import Found, find_instances
from services.registration_service.settings import ReconcilerSettings
from shared.orthanc import Orthanc

log = structlog.get_logger()


class Following:
    """Reads on where the cursor stands. Nothing is published here."""

    def __init__(self, database: Database, orthanc: Orthanc, settings: ReconcilerSettings) -> None:
        self._database = database
        self._orthanc = orthanc
        self._settings = settings
        self._done: set[int] = set()  # rows of the overlap that need no second look

    async def read_on(self) -> None:
        """Read until the feed ends, or another process leads."""
        while await self._read_page():
            pass

    async def _read_page(self) -> bool:
        """Whether there may be more."""
        place = await self._place()
        if place is None:
            return await self._begin(None)
        # One row more than the overlap: the one at the cursor is always read again.
        since = max(0, place.seq - self._settings.changes_overlap - 1)
        limit = self._settings.changes_overlap + 1 + self._settings.changes_page
        page = await feed.changes(self._orthanc, since, limit)
        if not await feed.is_the_same(self._orthanc, place, page):
            return await self._begin(place)
        fresh = [change for change in page if change.seq not in self._done]
        if fresh and not await self._note(place, page[-1], await self._find(fresh)):
            return False
        self._done = {change.seq for change in page}
        return bool(page) and page[-1].seq > place.seq

    async def _place(self) -> Place | None:
        async with self._database.transaction() as session:
            found = await cursor.standing(session)
            return cursor.place_of(found) if found else None

    async def _find(self, fresh: list[Change]) -> list[Found]:
        """What the rows are about: images that have no ledger row yet, and those that may have a context parked."""
        new = {change.resource_id for change in fresh if change.kind == NEW_INSTANCE}
        touched = {change.resource_id for change in fresh if change.kind == UPDATED_METADATA}
        async with self._database.transaction() as session:
            missing = await arrivals.without_row(session, new)
        return list((await find_instances(self._orthanc, missing | touched)).values())

    async def _note(self, place: Place, last: Change, found: list[Found]) -> bool:
        """Whether the page was noted; not where another process leads, or was faster."""
        async with self._database.transaction() as session:
            if not await cursor.leads(session):
                return False
            standing = await cursor.standing(session, hold=True)
            if standing is None or standing.seq != place.seq:
                return False
            await arrivals.note(session, found, self._settings)
            if last.seq > place.seq:
                cursor.move(standing, last)
        return True

    async def _begin(self, place: Place | None) -> bool:
        """Go on from where the feed ends now, and owe a full compare: at the first start, and when rows were lost."""
        ends = await feed.end(self._orthanc)
        async with self._database.transaction() as session:
            if not await cursor.leads(session):
                return False
            standing = await cursor.standing(session, hold=True)
            if (standing.seq if standing else None) != (place.seq if place else None):
                return False
            await cursor.begin(session, ends)
        self._done = set()
        log.warning("changes.anew", why="not the feed read before" if place else "first start", seq=ends.seq)
        return True
