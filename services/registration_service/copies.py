"""Copies of messages straight into a queue, and what such a copy says of itself in its headers."""

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from faststream.rabbit import RabbitBroker
from faststream.rabbit.annotations import RabbitMessage
from yarl import URL

from shared.broker import NOT_CONFIRMED
from shared.errors import BrokerAway
from shared.settings import BrokerSettings


@dataclass(frozen=True)
class Told:
    """What is known of a message: who published it first, the attempt that this is, and the first failure's time."""

    publisher: str
    attempt: int
    first: str | None


class Copies:
    """Sends copies through the default exchange, which reaches exactly the queue that is named."""

    def __init__(self, broker: RabbitBroker, settings: BrokerSettings) -> None:
        self._broker = broker
        self._seconds = settings.confirm_seconds
        self._user = URL(settings.url.get_secret_value()).user

    def told(self, message: RabbitMessage) -> Told:
        """Read the headers of a copy of ours. A sender's are not believed: the broker checks the user alone."""
        user = message.raw_message.user_id or ""
        ours = message.headers if user == self._user else {}
        attempt = 1
        with contextlib.suppress(ValueError, TypeError):
            attempt = max(1, int(ours.get("x-attempt", 1)))
        return Told(str(ours.get("x-publisher", user)), attempt, ours.get("x-first"))

    async def send(
        self, to: str, message: RabbitMessage, queue: str, reason: str, attempt: int, wait: float | None = None
    ) -> None:
        """Return once the copy of this message of `queue` is confirmed, else raise BrokerAway.

        `wait` is how long it stays in a retry rung, in seconds.
        """
        try:
            async with asyncio.timeout(self._seconds):
                await self._broker.publish(
                    message.body,
                    queue=to,
                    mandatory=True,
                    persist=True,
                    headers=_kept(message.headers) | self._headers(message, queue, reason, attempt),
                    content_type=message.content_type,
                    message_id=message.message_id,
                    correlation_id=message.correlation_id,
                    message_type=message.raw_message.type,
                    expiration=None if wait is None else timedelta(seconds=wait),
                    user_id=self._user,
                )
        except NOT_CONFIRMED as error:
            raise BrokerAway from error

    def _headers(self, message: RabbitMessage, queue: str, reason: str, attempt: int) -> dict[str, Any]:
        now, told = datetime.now(UTC).isoformat(), self.told(message)
        return {
            "x-attempt": attempt,
            "x-reason": reason[:500],
            "x-fingerprint": hashlib.sha256(f"{queue}|{reason}".encode()).hexdigest()[:16],
            "x-first": told.first or now,
            "x-last": now,
            "x-queue": queue,
            "x-publisher": told.publisher,
        }


def _kept(headers: Mapping[str, Any]) -> dict[str, Any]:
    """A sender's headers without those by which RabbitMQ delivers to further queues, here in our name."""
    return {name: value for name, value in headers.items() if name not in ("CC", "BCC")}
