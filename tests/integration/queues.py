"""Raw AMQP beside the adapters: queues of a test's own, messages as a stranger would send them, dead letters."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import ChannelPreconditionFailed

from deploy.local.system import System

T = TypeVar("T")


@contextlib.asynccontextmanager
async def channel_of(system: System, user: str) -> AsyncIterator[AbstractChannel]:
    """A channel of one user, confirming; a returned message is an error."""
    connection = await aio_pika.connect(system.broker_url(user), timeout=5)
    async with connection:
        yield await connection.channel(on_return_raises=True)


@contextlib.asynccontextmanager
async def own_queue(admin: AbstractChannel, routing_key: str = "", **arguments: Any) -> AsyncIterator[AbstractQueue]:
    """A queue for one test, bound to the exchange where a routing key is given."""
    durable = arguments.get("x-queue-type") == "quorum"  # the broker knows no others
    queue = await admin.declare_queue(f"test.{uuid.uuid4()}", durable=durable, arguments=arguments)
    try:
        if routing_key:
            await queue.bind("medical-images", routing_key)
        yield queue
    finally:
        with contextlib.suppress(ChannelPreconditionFailed):
            await queue.delete(if_unused=False, if_empty=False)


async def send(channel: AbstractChannel, body: bytes, routing_key: str, exchange: str = "", **properties: Any) -> str:
    """A message with the properties given; returns its message_id."""
    identity = properties.setdefault("message_id", str(uuid.uuid4()))
    where = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
    await where.publish(aio_pika.Message(body, **properties), routing_key, timeout=5)
    return str(identity)


async def ready(system: System, names: Iterable[str]) -> dict[str, int]:
    """The queues that are not empty, told by themselves; the management interface tells what they were."""
    async with channel_of(system, "admin") as admin:
        depths = {n: (await admin.declare_queue(n, passive=True)).declaration_result.message_count for n in names}
    return {name: depth for name, depth in depths.items() if depth}


async def soon(ask: Callable[[], Awaitable[T]], seconds: float = 15.0, what: str = "the condition") -> T:
    """The first truthy answer, asked again and again."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (answer := await ask()):
        assert asyncio.get_running_loop().time() < deadline, f"{what} did not come within {seconds:g} s"
        await asyncio.sleep(0.02)
    return answer


async def take(queue: AbstractQueue, seconds: float = 15.0) -> AbstractIncomingMessage:
    """The next message of a queue, acknowledged."""

    async def ask() -> AbstractIncomingMessage | None:
        return await queue.get(fail=False)

    message = await soon(ask, seconds, f"a message in {queue.name}")
    assert message is not None
    await message.ack()
    return message


async def take_by_id(admin: AbstractChannel, queue: str, message_id: str) -> list[AbstractIncomingMessage]:
    """All messages of this id that now lie in a shared queue, removed; those of others stay."""
    source = await admin.get_queue(queue, ensure=False)
    mine: list[AbstractIncomingMessage] = []
    others: list[AbstractIncomingMessage] = []
    while message := await source.get(fail=False):
        (mine if message.message_id == message_id else others).append(message)
    for message in mine:
        await message.ack()
    for message in others:
        await message.nack(requeue=True)
    return mine


async def dead_letters(admin: AbstractChannel, message_id: str) -> list[AbstractIncomingMessage]:
    """The dead letters of this id, removed, once there are any."""
    return await soon(lambda: take_by_id(admin, "registration.dead", message_id), what=f"dead letter {message_id}")
