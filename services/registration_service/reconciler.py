"""The reconciler's process: keeps the ledger true to Orthanc, whatever was lost on the fast path (wiring only)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from fastapi import FastAPI

from services.registration_service.changes import Following
from services.registration_service.database import Database
from services.registration_service.full_compare import FullCompare
from services.registration_service.republishing import Republishing
from services.registration_service.settings import Settings
from services.registration_service.sweep import Sweep
from services.registration_service.trail.pruning import Pruning
from services.registration_service.unaccounted import Gauges, measure_storage
from services.registration_service.unparking import Unparking
from shared.broker import Publisher, exchange_answers, make_broker, running
from shared.orthanc import Orthanc
from shared.service import Work, create_service, every
from shared.starting import read_settings

Loop = tuple[str, float, Work]


def create_app(settings: Settings | None = None) -> FastAPI:
    """The reconciler as an ASGI app (health and metrics); nothing is opened before its lifespan."""
    settings = settings or read_settings(Settings)
    orthanc, database = Orthanc(settings.orthanc), Database(settings.database)
    broker = make_broker(settings.broker, "reconciler")
    loops = list(_loops(settings, orthanc, database, Publisher(broker, settings.broker)))

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.aclosing(orthanc), contextlib.aclosing(database), running(broker):
            tasks = [asyncio.create_task(every(pause, work, name), name=name) for name, pause, work in loops]
            yield
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # what is in a transaction is rolled back

    checks = {
        "orthanc": orthanc.answers,
        "postgresql": database.answers,
        "rabbitmq": lambda: exchange_answers(broker, settings.broker),
    }
    return create_service("reconciler", settings, lifespan=lifespan, routers=[], checks=checks)


def _loops(settings: Settings, orthanc: Orthanc, database: Database, publisher: Publisher) -> Iterator[Loop]:
    """What is done again and again, each with its pause; a failure in one stops none."""
    own = settings.reconciler
    republishing = Republishing(database, orthanc, publisher, own, settings.facility_zone)
    yield "changes", own.changes_pause_seconds, Following(database, orthanc, own).read_on
    yield "republishing", own.publish_pause_seconds, republishing.publish_due
    yield "unparking", own.publish_pause_seconds, Unparking(database, orthanc, own).take_off
    yield "compare", own.changes_pause_seconds, FullCompare(database, orthanc, own).compare_if_due
    yield "sweep", own.sweep_pause_seconds, Sweep(database, own).sweep
    yield "pruning", settings.trail.prune_pause_seconds, Pruning(database, settings.trail.prune_batch).prune
    yield "gauges", own.gauges_pause_seconds, Gauges(database, orthanc, own).refresh
    yield "storage", settings.storage_pause_seconds, lambda: measure_storage(orthanc)
