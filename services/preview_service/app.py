"""Wires the preview service: permission from registration, pictures and files from Orthanc."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from services.preview_service import api, signed_api, wado
from services.preview_service.access import Access
from services.preview_service.cache import Cache
from services.preview_service.consumers import StoredImages
from services.preview_service.dicomweb import api_rendered, api_retrieve, api_search
from services.preview_service.dicomweb.metadata import Metadata
from services.preview_service.dicomweb.retrieval import Retrieval
from services.preview_service.dicomweb.search import Search
from services.preview_service.dicomweb.source import Source
from services.preview_service.pictures import Pictures
from services.preview_service.remembered import Remembered
from services.preview_service.rendering import Renderer
from services.preview_service.rights import RightsChanges
from services.preview_service.settings import Settings
from services.preview_service.signed import Signer
from services.preview_service.standing_back import StandingBack
from services.preview_service.warming import Warming
from shared.audit_sending import AuditSending
from shared.broker import Publisher, make_broker, running
from shared.orthanc import Orthanc
from shared.service import create_service, every
from shared.starting import read_settings

SWEEP_SECONDS = 3600.0  # between looks for pictures that are too old


def create_app(settings: Settings | None = None) -> FastAPI:
    """The preview service as an ASGI app; nothing is opened before its lifespan."""
    settings = settings or read_settings(Settings)
    orthanc, remembered, cache = Orthanc(settings.orthanc), Remembered(settings.registration), Cache(settings.cache)
    access = Access(settings.registration, remembered, cache.purge)
    changes = RightsChanges(remembered, settings.rights)
    renderer = Renderer(orthanc, settings.render)
    pictures = Pictures(renderer, cache, settings.render)
    stored = StoredImages(
        Warming(pictures, orthanc, settings.warming),
        StandingBack(settings.warming, lambda: renderer.busy),
        settings.broker,
        settings.warming,
    )
    source = Source(orthanc.http)
    metadata = Metadata(source, settings.dicomweb)
    broker = make_broker(settings.broker, "preview")
    auditing = AuditSending("preview", Publisher(broker, settings.audit.broker(settings.broker)), settings.audit)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            contextlib.aclosing(orthanc),
            contextlib.aclosing(access),
            contextlib.aclosing(pictures),
            contextlib.aclosing(metadata),
            running(broker),
            auditing.running(),
        ):
            background = [
                asyncio.create_task(every(settings.rights.again_seconds, changes.hear, "rights")),
                asyncio.create_task(_kept(cache)),
            ]
            if settings.warming.on:
                background.append(asyncio.create_task(every(settings.warming.again_seconds, stored.hear, "warming")))
            yield
            for task in background:
                task.cancel()
            await asyncio.wait(background)  # the rights' connection is closed, and its queue gone with it

    app = create_service(
        "preview",
        settings,
        lifespan=lifespan,
        routers=[
            api.router,
            wado.router,
            signed_api.router,
            api_search.router,
            api_retrieve.router,
            api_rendered.router,
        ],
        checks={"orthanc": orthanc.answers, "registration": access.answers},
    )
    app.state.settings = settings
    app.state.auditor = auditing
    app.state.orthanc = orthanc
    app.state.access = access
    app.state.pictures = pictures
    app.state.search = Search(access, source, settings.dicomweb)
    app.state.metadata = metadata
    app.state.retrieval = Retrieval(source, metadata, settings.dicomweb)
    app.state.signer = Signer(settings.signed)
    app.state.cache = cache
    return app


async def _kept(cache: Cache) -> None:
    """What a start finds on the disk is of use as soon as it was found; nobody waits for it."""
    await cache.open()
    await every(SWEEP_SECONDS, cache.sweep, "cache")
