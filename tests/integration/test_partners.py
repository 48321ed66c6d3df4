"""What a partner may do on the broker: publish its own events, read and bind its own queue, and nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from aio_pika.exceptions import AMQPConnectionError, AMQPError
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed

from tests.integration.partners import Partner, partner
from tests.integration.queues import send, take
from tests.running import Running

EXCHANGE = "medical-images"
ANNOUNCED = ("image.registered", "image.waiting", "image.refused", "image.moved", "exam.rights-changed")
OTHERS_QUEUES = ("registration.dead", "registration.dicom-stored", "registration.exam-upserted")


@pytest.fixture(scope="module")
def his(running: Running) -> Iterator[Partner]:
    """A partner with all that one may have."""
    with partner(running.env) as made:
        yield made


@pytest.fixture(scope="module")
def viewer(running: Running) -> Iterator[Partner]:
    """A partner that only listens."""
    with partner(running.env, "--publish", "nothing", "--listen", "image.moved") as made:
        yield made


@pytest.fixture
async def channel(his: Partner) -> AsyncIterator[AbstractChannel]:
    async with his.channel() as channel:
        yield channel


async def test_a_partner_publishes_its_own_types(admin: AbstractChannel, his: Partner) -> None:
    for key in ("dicom.stored", "exam.upserted"):
        await his.publish(b"{}", key)


@pytest.mark.parametrize("key", [*ANNOUNCED, "audit.recorded", "dicom.stored.x", "x.exam.upserted", "", "#"])
async def test_and_no_others(his: Partner, key: str) -> None:
    with pytest.raises(ChannelAccessRefused):
        await his.publish(b"{}", key)


@pytest.mark.parametrize("key", ["dicom.stored", "exam.upserted"])
async def test_who_only_listens_publishes_nothing(viewer: Partner, key: str) -> None:
    with pytest.raises(ChannelAccessRefused):
        await viewer.publish(b"{}", key)


@pytest.mark.parametrize("name", ["registration", "upload", "admin"])
async def test_nobody_speaks_in_anothers_name(his: Partner, name: str) -> None:
    with pytest.raises(ChannelPreconditionFailed):
        await his.publish(b"{}", "exam.upserted", user_id=name)


@pytest.mark.parametrize("queue", OTHERS_QUEUES)
async def test_nothing_goes_straight_into_a_queue(channel: AbstractChannel, queue: str) -> None:
    with pytest.raises(ChannelAccessRefused):
        await send(channel, b"{}", queue)


@pytest.mark.parametrize("exchange", ["amq.topic", "amq.direct", "amq.fanout"])
async def test_no_other_exchange(channel: AbstractChannel, exchange: str) -> None:
    with pytest.raises(ChannelAccessRefused):
        await send(channel, b"{}", "dicom.stored", exchange)


async def _declare(channel: AbstractChannel, queue: str) -> None:
    await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "classic"})


async def _get(channel: AbstractChannel, queue: str) -> None:
    await (await _of(channel, queue)).get(fail=False)


async def _purge(channel: AbstractChannel, queue: str) -> None:
    await (await _of(channel, queue)).purge()


async def _delete(channel: AbstractChannel, queue: str) -> None:
    await (await _of(channel, queue)).delete()


async def _bind(channel: AbstractChannel, queue: str) -> None:
    await (await _of(channel, queue)).bind(EXCHANGE, "image.registered")


async def _of(channel: AbstractChannel, queue: str) -> AbstractQueue:
    return await channel.get_queue(queue, ensure=False)


Act = Callable[[AbstractChannel, str], Awaitable[None]]


@pytest.mark.parametrize("act", [_declare, _get, _purge, _delete, _bind])
@pytest.mark.parametrize("whose", [*OTHERS_QUEUES, "viewer", "nobody"])
async def test_no_queue_but_its_own(channel: AbstractChannel, viewer: Partner, act: Act, whose: str) -> None:
    queue = {"viewer": viewer.queue, "nobody": f"{viewer.queue}-2"}.get(whose, whose)
    with pytest.raises(ChannelAccessRefused):
        await act(channel, queue)


@pytest.mark.parametrize("act", [_declare, _delete])
async def test_it_neither_makes_nor_deletes_its_own(channel: AbstractChannel, his: Partner, act: Act) -> None:
    with pytest.raises(ChannelAccessRefused):
        await act(channel, his.queue)


@pytest.mark.parametrize("key", ANNOUNCED)
async def test_it_binds_its_own_to_what_registration_announces(
    running: Running, viewer: Partner, admin: AbstractChannel, key: str
) -> None:
    exchange = await admin.get_exchange(EXCHANGE, ensure=False)
    async with viewer.channel() as channel:
        queue = await _of(channel, viewer.queue)
        await queue.bind(EXCHANGE, key)
        await exchange.publish(aio_pika.Message(b"heard"), key)
        # What the running service says of other tests' exams and images may come between.
        while (await take(queue)).body != b"heard":
            pass
        await queue.unbind(EXCHANGE, key)
        await exchange.publish(aio_pika.Message(b"unheard"), key, mandatory=False)
        while message := await queue.get(fail=False, no_ack=True):
            assert message.body != b"unheard"


@pytest.mark.parametrize("key", ["dicom.stored", "exam.upserted", "audit.recorded", "#", "image.*", "*.registered"])
async def test_and_to_nothing_else(channel: AbstractChannel, his: Partner, key: str) -> None:
    queue = await _of(channel, his.queue)
    with pytest.raises(ChannelAccessRefused):
        await queue.bind(EXCHANGE, key)


async def test_it_has_so_many_connections_and_no_more(viewer: Partner) -> None:
    connections = [await aio_pika.connect(viewer.url, timeout=5) for _ in range(10)]
    with pytest.raises((AMQPError, AMQPConnectionError, ConnectionError)):
        await aio_pika.connect(viewer.url, timeout=5)
    for connection in connections:
        await connection.close()
