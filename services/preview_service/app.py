"""Wires the preview service: permission from registration, pictures and files from Orthanc."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from services.preview_service.access import Access
from services.preview_service.api import router
from services.preview_service.consumers import Listening
from services.preview_service.picture import Pictures
from services.preview_service.remembered import Remembered
from services.preview_service.settings import Settings
from shared.audit_sending import AuditSending
from shared.broker import Publisher, make_broker, running
from shared.orthanc import Orthanc
from shared.service import create_service, every
from shared.starting import read_settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """The preview service as an ASGI app; nothing is opened before its lifespan."""
    settings = settings or read_settings(Settings)
    orthanc, remembered = Orthanc(settings.orthanc), Remembered(settings.registration)
    access, listening = Access(settings.registration, remembered), Listening(remembered, settings.rights)
    broker = make_broker(settings.broker, "preview")
    auditing = AuditSending("preview", Publisher(broker, settings.audit.broker(settings.broker)), settings.audit)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.aclosing(orthanc), contextlib.aclosing(access), running(broker), auditing.running():
            hearing = asyncio.create_task(every(settings.rights.again_seconds, listening.hear, "rights"))
            yield
            hearing.cancel()
            await asyncio.wait([hearing])  # its connection is closed, and its queue gone with it

    app = create_service(
        "preview",
        settings,
        lifespan=lifespan,
        routers=[router],
        checks={"orthanc": orthanc.answers, "registration": access.answers},
    )
    app.state.settings = settings
    app.state.auditor = auditing
    app.state.orthanc = orthanc
    app.state.access = access
    app.state.pictures = Pictures(orthanc, settings.scaling_at_once)
    return app
