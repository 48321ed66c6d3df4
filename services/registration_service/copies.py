"""Copies of messages straight into a queue: persistent, confirmed, mandatory, bounded in time."""

import asyncio
from datetime import timedelta
from typing import Any

from faststream.rabbit import RabbitBroker
from faststream.rabbit.annotations import RabbitMessage
from yarl import URL

from shared.broker import NOT_CONFIRMED
from shared.errors import BrokerAway
from shared.settings import BrokerSettings


class Copies:
    """Sends copies through the default exchange, which reaches exactly the queue that is named."""

    def __init__(self, broker: RabbitBroker, settings: BrokerSettings) -> None:
        self._broker = broker
        self._seconds = settings.confirm_seconds
        self.user = URL(settings.url.get_secret_value()).user

    async def send(self, queue: str, message: RabbitMessage, headers: dict[str, Any], wait: float | None) -> None:
        """Return once the copy is confirmed, else raise BrokerAway.

        `wait` is how long it stays in a retry rung, in seconds.
        """
        try:
            async with asyncio.timeout(self._seconds):
                await self._broker.publish(
                    message.body,
                    queue=queue,
                    mandatory=True,
                    persist=True,
                    headers=headers,
                    content_type=message.content_type,
                    message_id=message.message_id,
                    correlation_id=message.correlation_id,
                    message_type=message.raw_message.type,
                    expiration=None if wait is None else timedelta(seconds=wait),
                    user_id=self.user,
                )
        except NOT_CONFIRMED as error:
            raise BrokerAway from error
