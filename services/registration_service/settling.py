"""What becomes of a message, and that it is never acknowledged undone.

| what happened                                | the message                                            |
|----------------------------------------------|--------------------------------------------------------|
| it cannot be read, or has another type       | a copy to `registration.dead`                          |
| the database, Orthanc or the broker is away  | stays in hand and is tried again (prefetch bounds it)  |
| anything else                                | a copy to the retry rung; attempts used up: to `registration.dead` |
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from faststream.rabbit.annotations import RabbitMessage
from prometheus_client import Counter
from pydantic import ValidationError

from services.registration_service.copies import Copies
from shared.correlation import correlation_id
from shared.errors import DependencyAway
from shared.events import DataT, Event

log = structlog.get_logger()

DEAD_QUEUE, RETRY_QUEUE = "registration.dead", "registration.retry"
HOLD_PAUSE_SECONDS = 1.0
HOLD_AT_MOST_SECONDS = 900.0  # the broker takes the channel from who holds a message for 30 minutes
CONSUMED = Counter(
    "examflow_events_consumed", "Events consumed, by queue and what became of them", ["queue", "outcome"]
)


class Malformed(Exception):
    """A message that no attempt will ever make readable."""


class Settling:
    """Settles the messages of one service."""

    def __init__(self, copies: Copies, retry_seconds: list[float]) -> None:
        self._copies = copies
        self._retry_seconds = retry_seconds

    async def settle(
        self,
        message: RabbitMessage,
        queue: str,
        kind: type[Event[DataT]],
        work: Callable[[Event[DataT]], Awaitable[None]],
    ) -> None:
        """Do the work of one message and decide about it. Leaves it unacknowledged only when it is cancelled."""
        outcome = "done"
        try:
            event = _read(message, kind)
            correlation_id.set(event.correlationid)
            await _while_away(event, work)
        except Malformed as error:
            outcome = "dead"
            await self._copy(message, DEAD_QUEUE, queue, str(error), self._attempt(message))
        except DependencyAway:
            outcome = "returned"
            await message.nack(requeue=True)
        except Exception as error:  # the table's last row: whatever it was, the message goes on and nothing is lost
            log.exception("event.failed", queue=queue, message_id=message.message_id)
            outcome = await self._again(message, queue, f"{type(error).__name__}")
        if outcome != "returned":
            await message.ack()
        CONSUMED.labels(queue, outcome).inc()

    async def _again(self, message: RabbitMessage, queue: str, reason: str) -> str:
        attempt = self._attempt(message)
        if attempt > len(self._retry_seconds):
            await self._copy(message, DEAD_QUEUE, queue, reason, attempt)
            return "dead"
        await self._copy(message, RETRY_QUEUE, queue, reason, attempt + 1, self._retry_seconds[attempt - 1])
        return "retried"

    def _own_headers(self, message: RabbitMessage) -> dict[str, Any]:
        """What a copy of ours says of itself. A sender's headers are not believed: the broker checks the user alone."""
        return message.headers if message.raw_message.user_id == self._copies.user else {}

    def _attempt(self, message: RabbitMessage) -> int:
        """Which attempt this is; counted in a header of our own, since brokers differ in what x-death tells."""
        with contextlib.suppress(ValueError, TypeError):
            return max(1, int(self._own_headers(message).get("x-attempt", 1)))
        return 1

    async def _copy(
        self, message: RabbitMessage, to: str, queue: str, reason: str, attempt: int, wait: float | None = None
    ) -> None:
        now = datetime.now(UTC).isoformat()
        ours = self._own_headers(message)
        headers: dict[str, Any] = {
            **message.headers,
            "x-attempt": attempt,
            "x-reason": reason[:500],
            "x-fingerprint": hashlib.sha256(f"{queue}|{reason}".encode()).hexdigest()[:16],
            "x-first": ours.get("x-first", now),
            "x-last": now,
            "x-queue": queue,
            "x-publisher": ours.get("x-publisher", message.raw_message.user_id or ""),
        }
        await _until_confirmed(lambda: self._copies.send(to, message, headers, wait))
        log.warning("event.copied", to=to, queue=queue, reason=reason, attempt=attempt, message_id=message.message_id)


def _read(message: RabbitMessage, kind: type[Event[DataT]]) -> Event[DataT]:
    """The event in the message. The reason of Malformed names the field and never a value."""
    if b"\\u0000" in message.body:
        raise Malformed("body: must not hold a NUL character")
    try:
        event = kind.model_validate_json(message.body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "body"
        raise Malformed(f"{where}: {first['msg']}") from None
    wanted = kind.model_fields["data"].annotation
    if event.type != getattr(wanted, "event_type", None):
        raise Malformed(f"type: {event.type} is not taken from this queue")
    return event


async def _while_away(event: Event[DataT], work: Callable[[Event[DataT]], Awaitable[None]]) -> None:
    """Do the work; while a dependency is away, wait with the message in hand: no attempt is used up."""
    give_up = asyncio.get_running_loop().time() + HOLD_AT_MOST_SECONDS
    while True:
        try:
            await work(event)
        except DependencyAway as error:
            if asyncio.get_running_loop().time() > give_up:
                raise
            log.warning("event.held", why=error.code, message=event.id, again_in_seconds=HOLD_PAUSE_SECONDS)
            await asyncio.sleep(HOLD_PAUSE_SECONDS)
        else:
            return


async def _until_confirmed(send: Callable[[], Awaitable[None]]) -> None:
    """A copy must be confirmed before its original is acknowledged; the broker gives an unacknowledged one back."""
    while True:
        try:
            return await send()
        except DependencyAway as error:
            log.warning("event.copy-unconfirmed", why=error.code, again_in_seconds=HOLD_PAUSE_SECONDS)
        await asyncio.sleep(HOLD_PAUSE_SECONDS)
