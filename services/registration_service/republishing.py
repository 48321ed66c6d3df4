"""Tells `dicom.stored` of images that are in Orthanc and undecided, with growing pauses until another state stands."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from prometheus_client import Counter
from pydantic import ValidationError
from sqlalchemy import func, select, update

from services.registration_service.database import Database
from services.registration_service.ledger import State
from services.registration_service.models import LedgerEntry
from services.registration_service.pacs import Found, find_instances
from services.registration_service.recovered_event import stored_event
from services.registration_service.settings import ReconcilerSettings
from services.registration_service.unusable import refuse_unusable
from services.registration_service.vanished import settle_vanished
from shared.broker import Publisher
from shared.errors import DependencyAway
from shared.orthanc import Orthanc

log = structlog.get_logger()

TOLD = Counter("examflow_reconciler_published", "dicom.stored events that the reconciler published")


@dataclass(frozen=True)
class Due:
    """An image that is to be told."""

    orthanc_id: str
    correlation_id: str | None


class Republishing:
    """Publishes for rows that are still `seen` and due. Who comes first takes a row; telling twice is harmless."""

    def __init__(
        self, database: Database, orthanc: Orthanc, publisher: Publisher, settings: ReconcilerSettings, zone: str
    ) -> None:
        self._database = database
        self._orthanc = orthanc
        self._publisher = publisher
        self._settings = settings
        self._zone = zone

    async def publish_due(self) -> None:
        """Publish until nothing is due."""
        while await self._publish_some() == self._settings.publish_batch:
            pass

    async def _publish_some(self) -> int:
        """Whoever stops between the claim and the publish only delays it by one pause."""
        claimed = await self._claim()
        if not claimed:
            return 0
        left = list(claimed)
        try:
            found = await find_instances(self._orthanc, [due.orthanc_id for due in claimed])
            unfound = [due.orthanc_id for due in claimed if due.orthanc_id not in found]
            await settle_vanished(self._database, self._orthanc, unfound)
            left = [due for due in claimed if due.orthanc_id in found]
            while left:
                await self._tell_all(left[: self._settings.reads_at_once], found)
                left = left[self._settings.reads_at_once :]
        except DependencyAway:
            await self._give_back(left)
            raise
        return len(claimed)

    async def _claim(self) -> Sequence[Due]:
        """Take what is due, and say when it is due again."""
        row = LedgerEntry
        async with self._database.transaction() as session:
            # Rows that came by other doors (HTTP, a replay) have the grace as well.
            grace = func.now() + timedelta(seconds=self._settings.grace_seconds)
            await session.execute(
                update(row).where(row.state == State.SEEN, row.publish_after.is_(None)).values(publish_after=grace)
            )
            due = (
                select(row)
                .where(row.state == State.SEEN, row.publish_after <= func.now())
                .order_by(row.publish_after)
                .limit(self._settings.publish_batch)
                .with_for_update(skip_locked=True)
            )
            pauses = self._settings.republish_seconds
            entries = (await session.scalars(due)).all()
            for entry in entries:
                pause = pauses[min(entry.publishes, len(pauses) - 1)]
                entry.publish_after = func.now() + timedelta(seconds=pause)
                entry.publishes += 1
            return [Due(entry.orthanc_id, entry.correlation_id) for entry in entries]

    async def _give_back(self, left: Sequence[Due]) -> None:
        """What could not be told while something was away is due at once again."""
        row = LedgerEntry
        async with self._database.transaction() as session:
            await session.execute(
                update(row)
                .where(row.orthanc_id.in_([due.orthanc_id for due in left]), row.state == State.SEEN)
                .values(publish_after=func.now(), publishes=func.greatest(row.publishes - 1, 0))
            )

    async def _tell_all(self, some: Sequence[Due], found: dict[str, Found]) -> None:
        """Tell a few at once; raises DependencyAway after all of them were tried.

        What is wrong with one image alone holds up no other: it is logged, and tried again after the row's pause.
        """
        outcomes = await asyncio.gather(
            *(self._tell(due, found[due.orthanc_id]) for due in some), return_exceptions=True
        )
        for due, outcome in zip(some, outcomes, strict=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, DependencyAway):
                log.error("image.untold", orthanc_id=due.orthanc_id, why=str(outcome)[:300], exc_info=outcome)
            elif outcome is not None:
                raise outcome

    async def _tell(self, due: Due, image: Found) -> None:
        try:
            event = await stored_event(self._orthanc, image, due.correlation_id, self._zone)
        except ValidationError as error:
            await refuse_unusable(self._database, due.orthanc_id, error)
            return
        await self._publisher.publish(event)
        TOLD.inc()
        log.info("image.told", orthanc_id=due.orthanc_id, origin=event.data.origin.kind)
