"""What each broker account may do, and readiness as a real round trip."""

import uuid
from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed
from faststream.rabbit import RabbitBroker

from deploy.local.system import System
from services.registration_service.consumers import STORED_QUEUE
from shared.broker import exchange_answers, make_broker, queue_consumed
from tests.integration import accounts
from tests.integration.queues import channel_of, own_queue, send

ACCOUNTS = ("upload", "registration", "preview")
QUEUES = (
    "registration.dicom-stored",
    "registration.dead",
    "registration.dicom-stored.retry-1",
    "registration.exam-upserted",
)


@pytest.mark.parametrize("user", ACCOUNTS)
async def test_a_service_declares_nothing(system: System, user: str) -> None:
    async with channel_of(system, user) as channel:
        with pytest.raises(ChannelAccessRefused):
            await channel.declare_queue(f"test.{uuid.uuid4()}")
    async with channel_of(system, user) as channel:
        with pytest.raises(ChannelAccessRefused):
            await channel.declare_exchange(f"test.{uuid.uuid4()}")


@pytest.mark.parametrize("user", ["upload", "preview"])
@pytest.mark.parametrize("name", QUEUES)
async def test_who_only_publishes_reads_no_queue(system: System, user: str, name: str) -> None:
    async with channel_of(system, user) as channel:
        queue = await channel.get_queue(name, ensure=False)
        with pytest.raises(ChannelAccessRefused):
            await queue.get(fail=False)
    async with channel_of(system, user) as channel:
        queue = await channel.get_queue(name, ensure=False)
        with pytest.raises(ChannelAccessRefused):
            await queue.purge()


@pytest.mark.parametrize(
    ("user", "key"),
    [
        *(("upload", key) for key in ("exam.upserted", "image.registered", "exam.rights-changed", "dicom.stored.x")),
        *(("registration", key) for key in ("exam.upserted", "image.anything")),
        *(("preview", key) for key in ("dicom.stored", "exam.rights-changed", "image.registered")),
    ],
)
async def test_a_service_publishes_its_own_events_alone(system: System, user: str, key: str) -> None:
    async with channel_of(system, user) as channel:
        with pytest.raises(ChannelAccessRefused):
            await send(channel, b"{}", key, "medical-images", user_id=user)


@pytest.mark.parametrize("user", ["upload", "preview"])
async def test_who_only_publishes_puts_nothing_straight_into_a_queue(system: System, user: str) -> None:
    async with channel_of(system, user) as channel:
        with pytest.raises(ChannelAccessRefused):
            await send(channel, b"{}", "registration.dead")


@pytest.mark.parametrize("user", ACCOUNTS)
async def test_nobody_speaks_in_anothers_name(system: System, user: str) -> None:
    async with channel_of(system, user) as channel:
        with pytest.raises(ChannelPreconditionFailed):
            await send(channel, b"{}", "audit.recorded", "medical-images", user_id="admin")


async def test_the_queues_are_as_the_topology_says(admin: AbstractChannel) -> None:
    for name in QUEUES:
        # The very arguments of definitions.json: others would be a 406.
        await admin.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})


@pytest.fixture
async def broker(system: System) -> AsyncIterator[RabbitBroker]:
    broker = make_broker(accounts.broker(system, "registration"), "test")
    await broker.start()
    yield broker
    await broker.stop()


async def test_readiness_finds_the_exchange(system: System, broker: RabbitBroker) -> None:
    await exchange_answers(broker, accounts.broker(system, "registration"))
    with pytest.raises(ChannelNotFoundEntity):
        await exchange_answers(broker, accounts.broker(system, "registration", exchange="no-such-exchange"))
    await exchange_answers(broker, accounts.broker(system, "registration"))


async def test_readiness_finds_the_queues_consumer(admin: AbstractChannel, broker: RabbitBroker) -> None:
    await queue_consumed(broker, STORED_QUEUE)  # the running service's
    with pytest.raises(ChannelNotFoundEntity):
        await queue_consumed(broker, f"test.{uuid.uuid4()}")
    async with own_queue(admin) as queue:
        with pytest.raises(ConnectionError, match=f"nobody consumes from {queue.name}"):
            await queue_consumed(broker, queue.name)

        async def ignore(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            """Nothing is sent here."""

        tag = await queue.consume(ignore)
        await queue_consumed(broker, queue.name)
        await queue.cancel(tag)


async def test_readiness_without_a_connection_says_so(system: System) -> None:
    settings = accounts.broker(system, "upload")
    broker = make_broker(settings, "test")
    with pytest.raises(ConnectionError, match="not connected"):
        await exchange_answers(broker, settings)
    await broker.start()
    await exchange_answers(broker, settings)
    await broker.stop()
    with pytest.raises(ConnectionError, match="not connected"):
        await exchange_answers(broker, settings)
