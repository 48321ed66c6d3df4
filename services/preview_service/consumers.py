"""What the preview service takes from its queue: that an image was stored, to make its pictures ahead."""

import contextlib
from collections.abc import Iterator

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from prometheus_client import Gauge
from pydantic import ValidationError

from services.preview_service.listening import Queue, listen
from services.preview_service.settings import WarmingSettings
from services.preview_service.standing_back import StandingBack
from services.preview_service.warming import WARMED, Warming
from shared.broker import NOT_CONFIRMED
from shared.events import DicomStored, Event
from shared.settings import BrokerSettings

log = structlog.get_logger()

STORED_QUEUE, BACKLOG = "preview.dicom-stored", "registration.dicom-stored"
WAITING = Gauge("examflow_preview_warm_waiting", "Images whose pictures are still to be made ahead, at the last look")


class StoredImages:
    """Takes `dicom.stored` for as long as the process lives, few at a time."""

    def __init__(
        self, warming: Warming, standing_back: StandingBack, broker: BrokerSettings, settings: WarmingSettings
    ) -> None:
        self._warming = warming
        self._standing_back = standing_back
        self._broker = broker.model_copy(update={"prefetch": settings.at_once})
        self._queue = Queue(_own_queue, self._take, settings.look_seconds, self._looked)

    async def hear(self) -> None:
        """Take for as long as one connection lasts; whoever calls this calls it again and again."""
        try:
            await listen(self._broker, self._queue, _heard)
        except NOT_CONFIRMED as error:
            log.warning("warming.unheard", kind=type(error).__name__, why=str(error))

    async def _take(self, message: AbstractIncomingMessage) -> None:
        self._standing_back.taken()
        try:
            event = Event[DicomStored].model_validate_json(message.body)
        except ValidationError:
            WARMED.labels("unreadable").inc()  # registration has its dead letter, and says why
        else:
            await self._standing_back.wait()
            await self._warming.warm(event)
        with contextlib.suppress(*NOT_CONFIRMED):  # it comes again, and finds its pictures made
            await message.ack()

    async def _looked(self, channel: AbstractChannel, waiting: int) -> None:
        WAITING.set(waiting)
        told = (await channel.declare_queue(BACKLOG, passive=True)).declaration_result
        self._standing_back.looked(waiting, told.message_count or 0)


async def _own_queue(channel: AbstractChannel) -> AbstractQueue:
    return await channel.get_queue(STORED_QUEUE)


@contextlib.contextmanager
def _heard(queue: str) -> Iterator[None]:
    log.info("warming.heard", queue=queue)
    yield
