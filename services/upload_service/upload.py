"""What an upload is: gate, store, compare, publish, answer. An answer of 2xx means stored and announced."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from services.upload_service import metrics
from services.upload_service.errors import AlreadyOther, StoredUnlinked
from services.upload_service.form import UploadForm
from services.upload_service.receiving import Received, Receiving
from services.upload_service.settings import Settings
from services.upload_service.stored_event import stored_event
from shared.broker import Publisher
from shared.correlation import correlation_id
from shared.errors import BrokerAway
from shared.events import DicomStored, Event
from shared.orthanc import Orthanc
from shared.permission import Caller
from shared.tokens import require

log = structlog.get_logger()

SOURCE = "/examflow/upload"


@dataclass(frozen=True)
class Uploaded:
    """An image that is stored and announced."""

    event: DicomStored
    path: str
    status: str

    @property
    def is_new(self) -> bool:
        """Whether Orthanc had no equal image before."""
        return self.status == "Success"


class Uploads:
    """Takes uploads. One instance serves all requests."""

    def __init__(self, orthanc: Orthanc, publisher: Publisher, settings: Settings) -> None:
        self._orthanc = orthanc
        self._publisher = publisher
        self._settings = settings

    async def take(self, form: UploadForm, caller: Caller, remote_ip: str | None) -> Uploaded:
        """Store the form's file and announce it; raises a Problem where that was refused or failed."""
        began = time.perf_counter()
        received = await Receiving(_checked(form, caller), self._orthanc, self._settings).store()
        await self._compare(received)
        data = stored_event(received, form.fields, caller, remote_ip, self._settings.facility_zone)
        await self._announce(data)
        metrics.stored(received.size, time.perf_counter() - began)
        log.info(
            "upload.stored",
            status=received.stored.status,
            orthanc_id=data.orthanc_instance_id,
            sop_instance_uid=data.sop_instance_uid,
            size=received.size,
            exam=data.context.examen_id,
            ms=round(1000 * (time.perf_counter() - began), 1),
        )
        return Uploaded(data, received.stored.path, received.stored.status)

    async def _compare(self, received: Received) -> None:
        """Where Orthanc had the instance, it compared names and never bytes: that is done here."""
        if received.stored.status == "Success":
            return
        if await self._orthanc.digest(received.stored.instance_id) != received.digest:
            raise AlreadyOther

    async def _announce(self, data: DicomStored) -> None:
        event = Event.about(data, source=SOURCE, subject=data.orthanc_instance_id, correlation_id=correlation_id.get())
        try:
            await self._publisher.publish(event)
        except BrokerAway as error:
            raise StoredUnlinked from error


async def _checked(form: UploadForm, caller: Caller) -> AsyncIterator[bytes]:
    """The form's file; at its end, before anything is stored, an exam that was named needs its scope."""
    async for piece in form.file():
        yield piece
    if form.fields.get("examenID"):
        require(caller, "images:write")
