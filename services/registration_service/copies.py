"""Copies of messages straight into a queue, and what such a copy says of itself in its headers."""

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aio_pika.abc import AbstractIncomingMessage
from faststream.rabbit import RabbitBroker
from yarl import URL

from shared.broker import NOT_CONFIRMED
from shared.cancellation import within
from shared.errors import BrokerAway
from shared.settings import BrokerSettings

# CC and BCC would have the broker deliver our copy to queues that a stranger names; the others are the broker's own
# account of a message's way, which a copy has not gone.
_NOT_COPIED = ("CC", "BCC", "x-death", "x-delivery-count", "x-acquired-count")
_NOT_COPIED_EITHER = ("x-first-death-", "x-last-death-")
# What a copy says of itself: never a sender's.
_OURS = ("x-attempt", "x-reason", "x-fingerprint", "x-first", "x-last", "x-queue", "x-publisher", "x-routing-key")


@dataclass(frozen=True)
class Told:
    """What is known of a message: who published it first, and by which key, which attempt this is, the first failure.

    `ours` are the headers of a copy of ours, none where it is not one.
    """

    publisher: str
    routing_key: str | None
    attempt: int
    first: str | None
    ours: Mapping[str, Any]


class Copies:
    """Sends copies through the default exchange, which reaches exactly the queue that is named."""

    def __init__(self, broker: RabbitBroker, settings: BrokerSettings) -> None:
        self._broker = broker
        self._seconds = settings.confirm_seconds
        self._user = URL(settings.url.get_secret_value()).user

    def told(self, message: AbstractIncomingMessage) -> Told:
        """Read the headers of a copy of ours. A sender's are not believed: the broker checks the user alone."""
        user = message.user_id or ""
        ours = {name: message.headers[name] for name in _OURS if name in message.headers} if user == self._user else {}
        attempt = 1
        with contextlib.suppress(ValueError, TypeError):
            attempt = max(1, int(str(ours.get("x-attempt", 1))))
        first, key = ours.get("x-first"), ours.get("x-routing-key", message.routing_key)
        return Told(
            publisher=str(ours.get("x-publisher", user)),
            routing_key=key if isinstance(key, str) else None,
            attempt=attempt,
            first=first if isinstance(first, str) else None,
            ours=ours,
        )

    async def send(
        self,
        to: str,
        message: AbstractIncomingMessage,
        queue: str,
        reason: str,
        attempt: int,
        wait: float | None = None,
    ) -> None:
        """Return once the copy of this message of `queue` is confirmed, else raise BrokerAway.

        `wait` is how long it stays in a retry rung, in seconds.
        """
        now, told = datetime.now(UTC).isoformat(), self.told(message)
        own = {
            "x-attempt": attempt,
            "x-reason": reason[:500],
            "x-fingerprint": fingerprint(queue, reason),
            "x-first": told.first or now,
            "x-last": now,
            "x-queue": queue,
            "x-publisher": told.publisher,
            "x-routing-key": told.routing_key,
        }
        await self._publish(to, message, own, wait)

    async def send_anew(
        self, queue: str, message: AbstractIncomingMessage, routing_key: str | None, first: str | None
    ) -> None:
        """A dead letter back into its work queue, with all its attempts before it; raise BrokerAway or return.

        By which routing key it once came, and when it first failed, stay known if it fails again.
        """
        kept = {"x-routing-key": routing_key, "x-first": first}
        own = {"x-attempt": 1, "x-publisher": self.told(message).publisher}
        await self._publish(queue, message, own | {name: value for name, value in kept.items() if value}, None)

    async def _publish(
        self, to: str, message: AbstractIncomingMessage, own: dict[str, Any], wait: float | None
    ) -> None:
        try:
            async with within(self._seconds):
                await self._broker.publish(
                    message.body,
                    queue=to,
                    mandatory=True,
                    persist=True,
                    headers=_of_the_sender(message.headers) | own,
                    content_type=message.content_type,
                    message_id=message.message_id,
                    correlation_id=message.correlation_id,
                    message_type=message.type,
                    expiration=None if wait is None else timedelta(seconds=wait),
                    user_id=self._user,
                )
        except NOT_CONFIRMED as error:
            raise BrokerAway from error


def fingerprint(queue: str, reason: str) -> str:
    """Equal troubles of one queue have an equal one: dead letters are grouped by it."""
    return hashlib.sha256(f"{queue}|{reason}".encode()).hexdigest()[:16]


def _of_the_sender(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in headers.items()
        if name not in _NOT_COPIED and name not in _OURS and not name.startswith(_NOT_COPIED_EITHER)
    }
