"""Wires the preview service: permission from registration, pictures and files from Orthanc."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from services.preview_service.access import Access
from services.preview_service.api import router
from services.preview_service.picture import Pictures
from services.preview_service.settings import Settings
from shared.orthanc import Orthanc
from shared.service import create_service
from shared.starting import read_settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """The preview service as an ASGI app; nothing is opened before its lifespan."""
    settings = settings or read_settings(Settings)
    orthanc, access = Orthanc(settings.orthanc), Access(settings.registration)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.aclosing(orthanc), contextlib.aclosing(access):
            yield

    app = create_service(
        "preview",
        settings,
        lifespan=lifespan,
        routers=[router],
        checks={"orthanc": orthanc.answers, "registration": access.answers},
    )
    app.state.settings = settings
    app.state.orthanc = orthanc
    app.state.access = access
    app.state.pictures = Pictures(orthanc, settings.scaling_at_once)
    return app
