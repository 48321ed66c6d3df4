"""Reading `registration.dead`: a letter stays there until it was replayed or dropped, whoever looks at it.

A reader takes every letter in hand and gives all back when its connection closes; another one would find nothing
meanwhile, so they take turns, on all replicas together. Each reading counts as a delivery of each letter: the queue's
limit of those is a million.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from faststream.rabbit import RabbitBroker
from prometheus_client import Gauge
from yarl import URL

from services.registration_service.copies import Copies
from services.registration_service.database import Database
from services.registration_service.errors import DeadLettersBusy
from services.registration_service.ops.peeking import Reading, broker_away, depth_of
from services.registration_service.settings import DeadLetterSettings
from services.registration_service.settling import DEAD_QUEUE
from shared.broker import NOT_CONFIRMED, queue_depth
from shared.settings import BrokerSettings

DEPTH = Gauge("examflow_dead_letters", "Messages that could not be done and wait for an operator")

_READERS_LOCK = 0x64656164
_BACK_SECONDS = 3.0


class DeadLetters:
    """Lets one reader at a time look at the letters."""

    def __init__(
        self,
        broker: BrokerSettings,
        copies: Copies,
        database: Database,
        settings: DeadLetterSettings,
        queue: str = DEAD_QUEUE,
    ) -> None:
        self._url = str(URL(broker.url.get_secret_value()).update_query(heartbeat=broker.heartbeat_seconds))
        self._tls = broker.tls()
        self._connect_seconds = broker.confirm_seconds
        self._copies = copies
        self._database = database
        self._settings = settings
        self._queue = queue
        self._here = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Reading]:
        """A look at the letters; what was not removed lies there again afterwards. DeadLettersBusy, BrokerAway."""
        async with self.alone(self._settings.busy_seconds), self._connected() as connection:
            with broker_away():
                channel = await connection.channel()
                depth = await depth_of(channel, self._queue)
            reading = Reading(channel, self._queue, depth, self._copies, self._settings)
            try:
                yield reading
            finally:
                await self._give_back(connection, channel, reading)

    @contextlib.asynccontextmanager
    async def alone(self, seconds: float) -> AsyncIterator[None]:
        """Be the only reader. In this process first, so that those who wait hold one connection of the database."""
        try:
            async with asyncio.timeout(seconds):
                await self._here.acquire()
        except TimeoutError:
            raise DeadLettersBusy from None
        try:
            async with self._database.alone(_READERS_LOCK, seconds) as mine:
                if not mine:
                    raise DeadLettersBusy
                yield
        finally:
            self._here.release()

    async def count(self, broker: RabbitBroker) -> None:
        """Refresh the metric; while somebody reads the letters, it stays what it was."""
        with contextlib.suppress(DeadLettersBusy):
            async with self.alone(0):
                DEPTH.set(await queue_depth(broker, self._queue))

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[AbstractConnection]:
        """A connection that does not restore itself: on a new channel the old numbers would name other letters."""
        with broker_away():
            connection = await aio_pika.connect(self._url, ssl_context=self._tls, timeout=self._connect_seconds)
        try:
            yield connection
        finally:
            with contextlib.suppress(*NOT_CONFIRMED):
                await connection.close()

    async def _give_back(self, connection: AbstractConnection, channel: AbstractChannel, reading: Reading) -> None:
        """Close, and stay alone until the letters lie there again: the broker puts them back a moment later."""
        with contextlib.suppress(*NOT_CONFIRMED):  # where the connection is lost they are back already, or soon
            async with asyncio.timeout(_BACK_SECONDS):
                if reading.done:
                    await reading.settle()
                await channel.close()
                again = await connection.channel()
                while await depth_of(again, self._queue) < reading.depth - reading.done:
                    await asyncio.sleep(0.02)
