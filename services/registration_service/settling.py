"""What becomes of a message, and that it is never acknowledged undone.

| what happened                                | the message                                                   |
|----------------------------------------------|---------------------------------------------------------------|
| Hopeless: it cannot be read, or is forbidden | a copy to `registration.dead`                                 |
| DependencyAway: database, Orthanc, broker    | stays in hand and is tried again (prefetch bounds it)         |
| anything else (NotYet says why in words)     | a copy to the next rung; attempts used up: `registration.dead` |

A message of ours that dies marks its image `dead` in the ledger (dead.py).
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from faststream.rabbit.message import RabbitMessage
from prometheus_client import Counter

from services.registration_service.copies import Copies
from services.registration_service.dead import DeadRows
from services.registration_service.errors import Hopeless, NotYet
from services.registration_service.reading import check_way, read_event
from services.registration_service.settings import MessageSettings
from shared.correlation import correlation_id
from shared.errors import DependencyAway
from shared.events import DataT, Event

log = structlog.get_logger()

DEAD_QUEUE = "registration.dead"
CONSUMED = Counter(
    "examflow_events_consumed", "Events consumed, by queue and what became of them", ["queue", "outcome"]
)


def rung(queue: str, attempt: int) -> str:
    """The retry queue of one pause: a quorum queue expires at its head alone, so each pause has its own."""
    return f"{queue}.retry-{attempt}"


class Settling:
    """Settles the messages of one service."""

    def __init__(self, copies: Copies, dead: DeadRows, settings: MessageSettings) -> None:
        self._copies = copies
        self._dead = dead
        self._settings = settings

    async def settle(
        self,
        message: RabbitMessage,
        queue: str,
        kind: type[Event[DataT]],
        work: Callable[[Event[DataT], str], Awaitable[None]],
    ) -> None:
        """Do the work of one message and decide about it. Leaves it unacknowledged only when it is cancelled.

        `work` is given the event and the broker's user who published it, empty where the message named none.
        """
        outcome = "done"
        told = self._copies.told(message.raw_message)
        try:
            check_way(told.routing_key, queue, kind)
            event = read_event(message.body, message.content_type, kind, self._settings.largest_bytes)
            correlation_id.set(event.correlationid)
            await self._hold(lambda: work(event, told.publisher))
        except Hopeless as error:
            outcome = await self._bury(message, queue, str(error))
        except DependencyAway:
            outcome = "returned"
            await message.nack(requeue=True)
        except NotYet as error:
            outcome = await self._again(message, queue, str(error))
        except Exception as error:  # the table's last row: whatever it was, the message goes on and nothing is lost
            log.exception("event.failed", queue=queue, message_id=message.message_id)
            outcome = await self._again(message, queue, _named(error))
        if outcome != "returned":
            await message.ack()
        CONSUMED.labels(queue, outcome).inc()

    async def _again(self, message: RabbitMessage, queue: str, reason: str) -> str:
        told, pauses = self._copies.told(message.raw_message), self._settings.retry_seconds
        if told.attempt > len(pauses):
            return await self._bury(message, queue, reason)
        pause = pauses[told.attempt - 1]
        await self._note(lambda: self._dead.remember(message.body, told.publisher))
        await self._note(lambda: self._dead.expect_again(message.body, told.publisher, pause))
        await self._copy(message, rung(queue, told.attempt), queue, reason, told.attempt + 1, pause)
        return "retried"

    async def _bury(self, message: RabbitMessage, queue: str, reason: str) -> str:
        """The row first: a crash in between repeats all of it, and never leaves a letter whose image looks alive."""
        told = self._copies.told(message.raw_message)
        await self._note(lambda: self._dead.remember(message.body, told.publisher))
        await self._note(lambda: self._dead.mark(message.body, told.publisher, reason))
        await self._copy(message, DEAD_QUEUE, queue, reason, told.attempt)
        return "dead"

    async def _copy(
        self, message: RabbitMessage, to: str, queue: str, reason: str, attempt: int, wait: float | None = None
    ) -> None:
        await self._insist(lambda: self._copies.send(to, message.raw_message, queue, reason, attempt, wait))
        log.warning("event.copied", to=to, queue=queue, reason=reason, attempt=attempt, message_id=message.message_id)

    async def _hold(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work; while a dependency is away, wait with the message in hand: no attempt is used up."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._settings.hold_at_most_seconds
        while True:
            try:
                return await work()
            except DependencyAway as error:
                if loop.time() > give_up:
                    raise
                log.warning("event.held", why=error.code, again_in_seconds=self._settings.hold_pause_seconds)
            await asyncio.sleep(self._settings.hold_pause_seconds)

    async def _note(self, step: Callable[[], Awaitable[None]]) -> None:
        """Say it in the image's row: one that does not say so is better than a message in nobody's hands."""
        try:
            await self._insist(step)
        except Exception:
            log.exception("event.unnoted")

    async def _insist(self, step: Callable[[], Awaitable[None]]) -> None:
        """A step that must be done before the original is acknowledged; the broker gives an unacknowledged one back."""
        while True:
            try:
                return await step()
            except DependencyAway as error:
                log.warning("event.unsettled", why=error.code, again_in_seconds=self._settings.hold_pause_seconds)
            await asyncio.sleep(self._settings.hold_pause_seconds)


def _named(error: Exception) -> str:
    """What an operator is told of a failure of ours: names alone, since a message may hold values."""
    refused = getattr(getattr(error, "orig", None), "__cause__", None)
    return f"the database refused it: {type(refused).__name__}" if refused else type(error).__name__
