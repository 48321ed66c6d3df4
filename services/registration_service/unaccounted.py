"""What operators watch: images that nobody has decided about, what waits, what is not sent, what Orthanc holds."""

from datetime import UTC, datetime, timedelta

from prometheus_client import Gauge
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import arrivals, cursor, feed
from services.registration_service.database import Database
from services.registration_service.ledger import State
from services.registration_service.models import LedgerEntry, OutboxMessage, ReconcilerCursor
from services.registration_service.settings import ReconcilerSettings
from shared.orthanc import Orthanc

UNACCOUNTED = Gauge(
    "examflow_images_unaccounted", "Images in Orthanc for a minute that the ledger has not decided about"
)
OLDEST = Gauge(
    "examflow_oldest_unregistered_seconds", "Age of the oldest image that is undecided or waiting; 0 for none"
)
WAITING = Gauge("examflow_images_waiting", "Images that wait for their exam, by how long they have", ["age"])
OUTBOX = Gauge("examflow_outbox_depth", "Announcements that are written and not yet sent")
ALARM = Gauge("examflow_reconciler_alarm", "1 while a full compare found so many images gone that it changed nothing")
STORAGE_BYTES = Gauge("examflow_orthanc_storage_bytes", "Bytes that Orthanc's storage takes on disk")
INSTANCES = Gauge("examflow_orthanc_instances", "Instances that Orthanc stores")

_AGES = {"under-1h": timedelta(hours=1), "under-1d": timedelta(days=1), "under-7d": timedelta(days=7)}
_OLDER = "over-7d"


async def measure_storage(orthanc: Orthanc) -> None:
    """Read Orthanc's storage use into the metrics."""
    found = await orthanc.statistics()
    STORAGE_BYTES.set(int(found["TotalDiskSize"]))
    INSTANCES.set(int(found["CountInstances"]))


class Gauges:
    """Refreshes the gauges about the ledger."""

    def __init__(self, database: Database, orthanc: Orthanc, settings: ReconcilerSettings) -> None:
        self._database = database
        self._orthanc = orthanc
        self._settings = settings

    async def refresh(self) -> None:
        """Count anew."""
        async with self._database.transaction() as session:
            standing = await cursor.standing(session)
            ALARM.set(bool(standing and standing.alarm))
            OUTBOX.set(await session.scalar(select(func.count()).select_from(OutboxMessage)) or 0)
            OLDEST.set(await _oldest(session))
            await _count_waiting(session)
            late = await undecided(session, self._settings)
        UNACCOUNTED.set(late + await unread(self._database, self._orthanc, self._settings, standing))


async def undecided(session: AsyncSession, settings: ReconcilerSettings) -> int:
    """Images with a row that nobody has decided about, though they are old enough."""
    old = func.now() - timedelta(seconds=settings.unaccounted_seconds)
    seen = (LedgerEntry.state == State.SEEN, LedgerEntry.first_seen < old)
    return await session.scalar(select(func.count()).select_from(LedgerEntry).where(*seen)) or 0


async def unread(
    database: Database, orthanc: Orthanc, settings: ReconcilerSettings, standing: ReconcilerCursor | None
) -> int:
    """Images that have no row yet: on the feed's next page, or, while a full compare is owed, in all of Orthanc."""
    if standing is None or standing.compare_wanted is not None:
        there = select(func.count()).select_from(LedgerEntry).where(LedgerEntry.state != State.DELETED)
        async with database.transaction() as session:
            rows = await session.scalar(there) or 0
        return max(0, int((await orthanc.statistics())["CountInstances"]) - rows)
    old = datetime.now(UTC) - timedelta(seconds=settings.unaccounted_seconds)
    page = await feed.changes(orthanc, standing.seq, settings.changes_page)
    late = {c.resource_id for c in page if c.kind == feed.NEW_INSTANCE and c.date < old.strftime("%Y%m%dT%H%M%S")}
    async with database.transaction() as session:
        return len(await arrivals.without_row(session, late)) if late else 0


async def _oldest(session: AsyncSession) -> float:
    undecided = LedgerEntry.state.in_([State.SEEN, State.WAITING])
    age = func.extract("epoch", func.now() - func.min(LedgerEntry.first_seen))
    return max(0.0, float(await session.scalar(select(age).where(undecided)) or 0))


async def _count_waiting(session: AsyncSession) -> None:
    """Each image in one class of age alone."""
    younger = 0
    for label, age in _AGES.items():
        since = func.now() - age
        waiting = (LedgerEntry.state == State.WAITING, LedgerEntry.first_seen > since)
        count = await session.scalar(select(func.count()).select_from(LedgerEntry).where(*waiting)) or 0
        WAITING.labels(label).set(count - younger)
        younger = count
    every = select(func.count()).select_from(LedgerEntry).where(LedgerEntry.state == State.WAITING)
    WAITING.labels(_OLDER).set((await session.scalar(every) or 0) - younger)
