"""The reconciler's process. So far it reports readiness and Orthanc's storage use."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from prometheus_client import Gauge

from services.registration_service.database import Database
from services.registration_service.settings import Settings
from shared.orthanc import Orthanc
from shared.service import create_service, every

STORAGE_BYTES = Gauge("examflow_orthanc_storage_bytes", "Bytes that Orthanc's storage takes on disk")
INSTANCES = Gauge("examflow_orthanc_instances", "Instances that Orthanc stores")


async def measure_storage(orthanc: Orthanc) -> None:
    """Read Orthanc's storage use into the metrics."""
    found = await orthanc.statistics()
    STORAGE_BYTES.set(int(found["TotalDiskSize"]))
    INSTANCES.set(int(found["CountInstances"]))


def create_app(settings: Settings | None = None) -> FastAPI:
    """The reconciler as an ASGI app (health and metrics); nothing is opened before its lifespan."""
    settings = settings or Settings()
    orthanc, database = Orthanc(settings.orthanc), Database(settings.database)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.aclosing(orthanc), contextlib.aclosing(database):
            pause = settings.storage_pause_seconds
            measuring = asyncio.create_task(every(pause, lambda: measure_storage(orthanc), "storage"))
            yield
            measuring.cancel()

    checks = {"orthanc": orthanc.answers, "postgresql": database.answers}
    return create_service("reconciler", settings, lifespan=lifespan, routers=[], checks=checks)
