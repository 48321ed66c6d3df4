"""Wires the registration service: `dicom.stored` and HTTP in, image records and announcements out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from services.registration_service import api, internal_api
from services.registration_service.by_http import HttpRegistrations
from services.registration_service.consumers import STORED_QUEUE, subscribe
from services.registration_service.copies import Copies
from services.registration_service.database import Database
from services.registration_service.outbox import Outbox
from services.registration_service.settings import Settings
from services.registration_service.settling import Settling
from shared.broker import Publisher, make_broker, queue_consumed, running
from shared.orthanc import Orthanc
from shared.service import create_service, every


def create_app(settings: Settings | None = None) -> FastAPI:
    """The registration service as an ASGI app; nothing is opened before its lifespan."""
    settings = settings or Settings()
    orthanc, database = Orthanc(settings.orthanc), Database(settings.database)
    broker = make_broker(settings.broker, "registration")
    outbox = Outbox(database, Publisher(broker, settings.broker), settings.outbox_batch)
    subscribe(broker, database, Settling(Copies(broker, settings.broker), settings.retry_seconds))

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.aclosing(orthanc), contextlib.aclosing(database), running(broker):
            sending = asyncio.create_task(every(settings.outbox_pause_seconds, outbox.send_all, "outbox"))
            yield
            sending.cancel()

    app = create_service(
        "registration",
        settings,
        lifespan=lifespan,
        routers=[api.router, internal_api.router],
        checks={
            "orthanc": orthanc.answers,
            "postgresql": database.answers,
            "rabbitmq": lambda: queue_consumed(broker, STORED_QUEUE),
        },
    )
    app.state.settings = settings
    app.state.database = database
    app.state.registrations = HttpRegistrations(database, orthanc, settings.event_wait_seconds)
    return app
