"""Pausing consumers, on the real broker and database, with a queue of our own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from faststream import AckPolicy
from faststream.rabbit import RabbitBroker, RabbitQueue
from faststream.rabbit.message import RabbitMessage
from faststream.rabbit.subscriber import RabbitSubscriber
from sqlalchemy import delete

from deploy.local.system import System
from services.registration_service.consumers import as_it_is
from services.registration_service.consuming import Consuming
from services.registration_service.database import Database
from services.registration_service.models import PausedConsumer
from shared.broker import make_broker
from tests.integration import accounts
from tests.integration.queues import own_queue, send, soon


@dataclass
class Bench:
    """One queue, and services that consume from it."""

    system: System
    admin: AbstractChannel
    database: Database
    queue: AbstractQueue
    taken: list[str] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    brokers: list[RabbitBroker] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def service(self) -> AsyncIterator[Consuming]:
        """One replica, whose consumer holds each message until it may go on."""
        broker = make_broker(accounts.broker(self.system, "admin"), "test")

        async def consume(message: RabbitMessage) -> None:
            self.taken.append(message.message_id)
            await self.go_on.wait()
            await message.ack()

        def subscribe() -> dict[str, RabbitSubscriber]:
            subscriber = broker.subscriber(
                RabbitQueue(self.queue.name, declare=False),
                ack_policy=AckPolicy.MANUAL,
                decoder=as_it_is,
                no_reply=True,
            )
            subscriber(consume)
            return {self.queue.name: subscriber}

        consuming = Consuming(broker, self.database, subscribe)
        await consuming.apply()  # before the broker runs nothing can be consumed, and nothing fails
        await broker.start()
        self.brokers.append(broker)
        try:
            await consuming.apply()
            yield consuming
        finally:
            self.brokers.remove(broker)
            await broker.stop()

    async def pause(self) -> None:
        async with self.database.transaction() as session:
            session.add(PausedConsumer(queue=self.queue.name, actor="olivia", reason="test"))

    async def resume(self) -> None:
        async with self.database.transaction() as session:
            await session.execute(delete(PausedConsumer).where(PausedConsumer.queue == self.queue.name))

    async def send(self) -> str:
        return await send(self.admin, b"{}", self.queue.name)

    async def ready(self) -> int:
        """Messages that nobody has in hand."""
        declared = await self.admin.declare_queue(self.queue.name, passive=True)
        return declared.declaration_result.message_count or 0

    async def has_taken(self, *ids: str) -> None:
        async def ask() -> bool:
            return sorted(self.taken) == sorted(ids)  # several are in hand at once

        await soon(ask, what=f"{len(ids)} messages taken")

    async def is_empty(self) -> None:
        async def ask() -> bool:
            return await self.ready() == 0

        await soon(ask, what="an empty queue")


@pytest.fixture
async def bench(system: System, admin: AbstractChannel, database: Database) -> AsyncIterator[Bench]:
    async with own_queue(admin) as queue:
        bench = Bench(system, admin, database, queue)
        yield bench
        await bench.resume()


async def test_a_paused_queue_is_not_consumed_from_and_a_resumed_one_is_drained(bench: Bench) -> None:
    bench.go_on.set()
    async with bench.service() as consuming:
        first = await bench.send()
        await bench.has_taken(first)
        await bench.pause()
        await consuming.apply()
        waiting = [await bench.send() for _ in range(20)]
        await asyncio.sleep(0.5)
        await consuming.apply()
        assert bench.taken == [first]
        assert await bench.ready() == 20
        await bench.resume()
        await consuming.apply()
        await bench.has_taken(first, *waiting)
        await bench.is_empty()


async def test_what_is_in_hand_at_a_pause_is_finished(bench: Bench) -> None:
    async with bench.service() as consuming:
        in_hand = await bench.send()
        await bench.has_taken(in_hand)
        await bench.pause()
        await consuming.apply()
        bench.go_on.set()
        await asyncio.sleep(0.2)
    # Neither given back when the service ended, nor taken twice.
    assert await bench.ready() == 0
    assert bench.taken == [in_hand]


async def test_under_load_nothing_stays_in_nobodys_hands(bench: Bench) -> None:
    bench.go_on.set()
    sent: list[str] = []

    async def keep_sending() -> None:
        while True:
            sent.append(await bench.send())

    async with bench.service() as consuming:
        sending = asyncio.create_task(keep_sending())
        for _ in range(10):
            await bench.pause()
            await consuming.apply()
            await asyncio.sleep(0.05)
            await bench.resume()
            await consuming.apply()
            await asyncio.sleep(0.05)
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        await soon(lambda: _is(set(sent) <= set(bench.taken)), what=f"all of {len(sent)} messages taken")


async def test_a_pause_outlives_a_restart_and_not_one_message_slips_through(bench: Bench) -> None:
    bench.go_on.set()
    await bench.pause()
    waiting = [await bench.send() for _ in range(5)]
    for _ in range(2):
        async with bench.service() as consuming:
            await asyncio.sleep(0.3)
            await consuming.apply()
            assert bench.taken == []
    await bench.resume()
    async with bench.service():
        await bench.has_taken(*waiting)


async def test_a_pause_holds_for_every_replica(bench: Bench) -> None:
    bench.go_on.set()
    async with bench.service() as one, bench.service() as other:
        await bench.pause()
        for consuming in (one, other):
            await consuming.apply()
        await bench.send()
        await asyncio.sleep(0.3)
        assert bench.taken == []


async def test_a_pause_outlives_a_lost_connection(bench: Bench) -> None:
    bench.go_on.set()
    async with bench.service() as consuming:
        await bench.pause()
        await consuming.apply()
        await bench.send()
        connection = bench.brokers[0]._connection
        assert connection is not None
        await connection.reconnect()
        await asyncio.sleep(0.5)
        await consuming.apply()
        assert bench.taken == []
        await bench.resume()
        await consuming.apply()
        await bench.is_empty()


async def test_readiness_does_not_want_what_is_paused(bench: Bench) -> None:
    async with bench.service() as consuming:
        await consuming.answers()
        await bench.pause()
        await consuming.apply()
        await consuming.answers()
        await bench.resume()
        await consuming.apply()
        await consuming.answers()


async def test_nothing_is_ready_before_the_pauses_are_known(bench: Bench) -> None:
    broker = make_broker(accounts.broker(bench.system, "admin"), "test")
    consuming = Consuming(broker, bench.database, dict)
    with pytest.raises(ConnectionError, match="not begun"):
        await consuming.answers()


async def test_a_consumer_that_was_lost_is_not_ready(bench: Bench) -> None:
    async with bench.service() as consuming:
        subscriber = consuming._subscribers[bench.queue.name]
        assert subscriber._queue_obj is not None
        await subscriber._queue_obj.cancel(str(subscriber._consumer_tag))
        with pytest.raises(ConnectionError, match="nobody consumes"):
            await consuming.answers()


async def _is(condition: object) -> bool:
    return bool(condition)
