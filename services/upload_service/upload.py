"""What an upload is: gate, store, compare, publish, answer. An answer of 2xx means stored and announced."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from services.upload_service import metrics
from services.upload_service.announcing import Announced, Announcing
from services.upload_service.comparing import must_be_the_same
from services.upload_service.form import UploadForm
from services.upload_service.places import Places
from services.upload_service.receiving import Receiving
from services.upload_service.settings import Settings
from services.upload_service.stored_event import stored_event
from shared.broker import Publisher
from shared.events import DicomStored
from shared.orthanc import Orthanc
from shared.permission import Caller
from shared.tokens import require

log = structlog.get_logger()


@dataclass(frozen=True)
class Uploaded:
    """An image that is stored and announced."""

    event: DicomStored
    path: str
    status: str
    announced: Announced

    @property
    def is_new(self) -> bool:
        """Whether Orthanc had no equal image before."""
        return self.status == "Success"


class Uploads:
    """Takes uploads. One instance serves all requests."""

    def __init__(self, orthanc: Orthanc, publisher: Publisher, settings: Settings) -> None:
        self._orthanc = orthanc
        self._announcing = Announcing(publisher, orthanc)
        self._settings = settings
        self._places = Places(settings.places)

    async def take(self, form: UploadForm, caller: Caller, remote_ip: str | None) -> Uploaded:
        """Store the form's file and announce it; raises a Problem where that was refused or failed."""
        began = time.perf_counter()
        with self._places.taken() as place:
            pieces = _checked(form, caller)
            received = await Receiving(pieces, self._orthanc, self._settings, place, form.length).store()
            await must_be_the_same(received, self._orthanc, self._settings.header_limit)
            data = stored_event(received, form.fields, caller, remote_ip, self._settings.facility_zone)
            announced = await self._announcing.announce(data)
        metrics.stored(received.size, time.perf_counter() - began)
        log.info(
            "upload.stored",
            status=received.stored.status,
            announced=announced,
            orthanc_id=data.orthanc_instance_id,
            sop_instance_uid=data.sop_instance_uid,
            size=received.size,
            exam=data.context.examen_id,
            ms=round(1000 * (time.perf_counter() - began), 1),
        )
        return Uploaded(data, received.stored.path, received.stored.status, announced)


async def _checked(form: UploadForm, caller: Caller) -> AsyncIterator[bytes]:
    """The form's file; at its end, before anything is stored, an exam that was named needs its scope."""
    async for piece in form.file():
        yield piece
    if form.fields.get("examenID"):
        require(caller, "images:write")
