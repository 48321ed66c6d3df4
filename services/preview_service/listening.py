"""One connection to RabbitMQ that consumes one queue, looked at again and again, and made anew when it is lost.

A link may fall silent without a word, and a consumer may be gone though its connection stands (FastStream restores it
not always): so the queue is asked for, which needs no permission, and must say that it is consumed from.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

from shared.broker import NOT_CONFIRMED, address
from shared.cancellation import within
from shared.settings import BrokerSettings


@dataclass(frozen=True)
class Queue:
    """What is consumed: how the queue is found or made on a channel, who takes a message, how often it is looked at.

    `looked` is told how many messages wait in it, at each look.
    """

    find: Callable[[AbstractChannel], Awaitable[AbstractQueue]]
    take: Callable[[AbstractIncomingMessage], Awaitable[None]]
    look_seconds: float
    looked: Callable[[AbstractChannel, int], Awaitable[None]] | None = None


async def listen(
    settings: BrokerSettings, queue: Queue, heard: Callable[[str], contextlib.AbstractContextManager[None]]
) -> None:
    """Consume until the connection is lost, which is an error (NOT_CONFIRMED). `heard` holds while it is consumed."""
    where, patience = address(settings), settings.confirm_seconds
    connection = await aio_pika.connect(where, ssl_context=settings.tls(), timeout=patience)
    try:
        async with within(patience):
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=settings.prefetch)
            found = await queue.find(channel)
            await found.consume(queue.take)
        with heard(found.name):
            await _until_lost(connection, channel, found.name, queue, patience)
    finally:
        with contextlib.suppress(*NOT_CONFIRMED):
            async with within(patience):
                await connection.close()


async def _until_lost(
    connection: AbstractConnection, channel: AbstractChannel, name: str, queue: Queue, patience: float
) -> None:
    lost = asyncio.Event()
    for closing in (connection, channel):
        closing.close_callbacks.add(lambda *_: lost.set())
    while True:
        with contextlib.suppress(TimeoutError):
            async with within(queue.look_seconds):
                await lost.wait()
            raise ConnectionError("the connection was lost")
        async with within(patience):
            told = (await channel.declare_queue(name, passive=True)).declaration_result
            if queue.looked:
                await queue.looked(channel, told.message_count or 0)
        if not told.consumer_count:
            raise ConnectionError(f"{name} is not consumed from any more")
