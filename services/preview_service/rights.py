"""What the preview service hears of rights: that they have changed, on a queue of this process alone.

The queue is made here, the only one that a service declares: it must end with its connection, and nobody knows before
how many there will be. A connection that is lost is not mended but made anew, with another queue: what was said in
between is gone, so all that was known is forgotten. docs/decisions/0016-a-queue-for-each-replica.md weighs it.
"""

import contextlib
import uuid
from collections.abc import Iterator

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from prometheus_client import Counter, Gauge
from pydantic import ValidationError

from services.preview_service.listening import Queue, listen
from services.preview_service.remembered import Remembered
from services.preview_service.settings import RightsSettings
from shared.broker import NOT_CONFIRMED
from shared.events import Event, ExamRightsChanged

log = structlog.get_logger()

CHANGES = Counter("examflow_rights_changes", "Messages that rights have changed, by what became of them", ["outcome"])
LISTENING = Gauge("examflow_rights_listening", "1 while changes of rights are heard, 0 while they are not")


class RightsChanges:
    """Hears `exam.rights-changed` for as long as the process lives, and voids what is remembered."""

    def __init__(self, remembered: Remembered, settings: RightsSettings) -> None:
        self._remembered = remembered
        self._settings = settings
        self._queue = Queue(self._own_queue, self._take, settings.look_seconds)

    async def hear(self) -> None:
        """Hear for as long as one connection lasts; whoever calls this calls it again and again."""
        try:
            await listen(self._settings, self._queue, self._heard)
        except NOT_CONFIRMED as error:
            log.warning("rights.unheard", kind=type(error).__name__, why=str(error))

    @contextlib.contextmanager
    def _heard(self, queue: str) -> Iterator[None]:
        """What was answered before the queue was bound may have changed unheard; so may, from its loss on, the rest.

        While there is none, answers end with their time alone: then nothing is emptied by an attempt that fails.
        """
        self._remembered.empty()
        LISTENING.set(1)
        log.info("rights.heard", queue=queue)
        try:
            yield
        finally:
            LISTENING.set(0)
            self._remembered.empty()

    async def _own_queue(self, channel: AbstractChannel) -> AbstractQueue:
        """Its bound is the policy `preview` of definitions.json. A name that was used may be taken for a while yet."""
        queue = await channel.declare_queue(
            f"preview.rights.{uuid.uuid4()}",
            exclusive=True,
            auto_delete=True,
            arguments={"x-queue-type": "classic"},  # a broker's default may be quorum, which is never exclusive
        )
        await queue.bind(self._settings.exchange, ExamRightsChanged.event_type)
        return queue

    async def _take(self, message: AbstractIncomingMessage) -> None:
        CHANGES.labels(self._believe(message)).inc()
        with contextlib.suppress(*NOT_CONFIRMED):  # a lost connection has taken the queue with it
            await message.ack()

    def _believe(self, message: AbstractIncomingMessage) -> str:
        """What became of it. Registration's word counts, even where it cannot be read: then nothing is certain."""
        if message.user_id != self._settings.believed:
            log.warning("rights.unbelieved", publisher=message.user_id)
            return "unbelieved"
        try:
            changed = Event[ExamRightsChanged].model_validate_json(message.body).data
        except ValidationError:
            log.error("rights.unreadable")
            self._remembered.empty()
            return "unreadable"
        self._remembered.void(changed.examen_id, changed.epoch)
        return "taken"
