"""Wires the upload service: HTTP in, through the DICOM gate, to Orthanc, and `dicom.stored` out."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from services.upload_service.api import router
from services.upload_service.draining import Draining
from services.upload_service.settings import Settings
from services.upload_service.upload import Uploads
from shared.audit_sending import AuditSending
from shared.broker import Publisher, exchange_answers, make_broker, running
from shared.orthanc import Orthanc
from shared.service import create_service
from shared.starting import read_settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """The upload service as an ASGI app; nothing is opened before its lifespan."""
    settings = settings or read_settings(Settings)
    orthanc = Orthanc(settings.orthanc)
    broker = make_broker(settings.broker, "upload")
    auditing = AuditSending("upload", Publisher(broker, settings.audit.broker(settings.broker)), settings.audit)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.aclosing(orthanc), running(broker), auditing.running():
            yield

    app = create_service(
        "upload",
        settings,
        lifespan=lifespan,
        routers=[router],
        checks={"orthanc": orthanc.answers, "rabbitmq": lambda: exchange_answers(broker, settings.broker)},
    )
    app.add_middleware(Draining)
    app.state.settings = settings
    app.state.auditor = auditing
    app.state.uploads = Uploads(orthanc, Publisher(broker, settings.broker), settings)
    return app
