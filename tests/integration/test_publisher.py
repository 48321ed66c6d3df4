"""Publishing to the real broker: confirmed, with the properties the contract names, and never a hang."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractChannel

from deploy.local.ports import Ports
from deploy.local.system import System
from shared.broker import Publisher, exchange_answers, make_broker, running
from shared.errors import BrokerAway
from shared.events import Event, EventData, ExamRightsChanged, ImageMoved
from shared.settings import BrokerSettings
from tests.integration import accounts, given
from tests.integration.queues import own_queue, soon, take


@contextlib.asynccontextmanager
async def _publishing(settings: BrokerSettings) -> AsyncIterator[Publisher]:
    broker = make_broker(settings, "test")
    await broker.start()
    try:
        yield Publisher(broker, settings)
    finally:
        await broker.stop()


@pytest.fixture
async def publisher(system: System) -> AsyncIterator[Publisher]:
    async with _publishing(accounts.broker(system, "registration")) as publisher:
        yield publisher


def _event(data: EventData, subject: str = "subject-1") -> Event[EventData]:
    return Event.about(data, source="/examflow/test", subject=subject, correlation_id="corr-1")


def _rights(exam: str = "EX-1") -> Event[EventData]:
    return _event(ExamRightsChanged(examen_id=exam, epoch=2), exam)


def _unheard() -> Event[EventData]:
    """An event of a kind that no queue of Examflow takes."""
    moved = ImageMoved(
        image_id="i", sop_instance_uid="1.2", orthanc_instance_id=None, from_examen_id="a", to_examen_id="b"
    )
    return _event(moved)


async def test_an_event_lands_in_its_queue_as_the_contract_says(publisher: Publisher, admin: AbstractChannel) -> None:
    exam = given.name()
    event = _rights(exam)
    async with own_queue(admin, "exam.rights-changed") as queue:
        await publisher.publish(event)
        while (message := await take(queue)).message_id != event.id:
            pass  # of another test, or of the running service
    assert message.exchange == "medical-images"
    assert (message.routing_key, message.type) == ("exam.rights-changed", "exam.rights-changed")
    assert message.delivery_mode == DeliveryMode.PERSISTENT
    assert message.content_type == "application/cloudevents+json"
    assert (message.message_id, message.correlation_id) == (event.id, "corr-1")
    assert (message.user_id, message.app_id) == ("registration", "test")
    assert message.expiration is None
    read = Event[ExamRightsChanged].model_validate_json(message.body)
    assert read.model_dump(exclude={"time"}) == event.model_dump(exclude={"time"})
    assert abs(read.time - event.time) < timedelta(milliseconds=1)
    assert (read.data.examen_id, read.data.epoch, read.subject) == (exam, 2, exam)
    assert datetime.now(UTC) >= read.time


async def test_a_message_that_no_queue_takes_is_an_error_where_it_is_mandatory(publisher: Publisher) -> None:
    with pytest.raises(BrokerAway):
        await publisher.publish(_unheard())
    await publisher.publish(_unheard(), mandatory=False)


async def test_a_full_queue_is_an_error(publisher: Publisher, admin: AbstractChannel) -> None:
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    async with own_queue(admin, "image.moved", **full):
        outcomes = await asyncio.gather(*(publisher.publish(_unheard()) for _ in range(10)), return_exceptions=True)
    # A queue may take a few more than its limit before it refuses.
    assert outcomes[0] is None
    assert {type(outcome) for outcome in outcomes} == {type(None), BrokerAway}


async def test_many_at_once_are_each_confirmed(publisher: Publisher, admin: AbstractChannel) -> None:
    async with own_queue(admin, "image.moved") as queue:
        events = [_unheard() for _ in range(200)]
        await asyncio.gather(*(publisher.publish(event) for event in events))
        landed = {(await take(queue)).message_id for _ in events}
    assert landed == {event.id for event in events}


async def test_another_users_name_is_refused_and_the_next_message_goes_through(
    publisher: Publisher, admin: AbstractChannel
) -> None:
    async with own_queue(admin, "image.moved") as queue:
        publisher._user = "upload"
        with pytest.raises(BrokerAway):
            await publisher.publish(_unheard())
        publisher._user = "registration"
        event = _unheard()
        await _heals(publisher, event)
        assert (await take(queue)).message_id == event.id


async def test_a_routing_key_of_others_is_refused_and_the_next_message_goes_through(system: System) -> None:
    # Nobody in this system waits for it, so a confirm is all that can be seen of what is allowed.
    class AuditRecorded(EventData):
        event_type = "audit.recorded"

    async with _publishing(accounts.broker(system, "upload")) as publisher:
        for _ in range(3):
            with pytest.raises(BrokerAway):
                await publisher.publish(_rights(), mandatory=False)
            await _heals(publisher, _event(AuditRecorded()))


async def _heals(publisher: Publisher, event: Event[EventData]) -> None:
    """The broker has closed the channel over a refusal; a new one takes its place by itself."""

    async def ask() -> bool:
        with contextlib.suppress(BrokerAway):
            await publisher.publish(event, mandatory=False)
            return True
        return False

    await soon(ask, 5, "a channel that works again")


async def _fails_in_time(publisher: Publisher) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(BrokerAway):
            await publisher.publish(_rights())


async def test_nobody_at_the_address(system: System) -> None:
    url = f"amqp://registration:x@127.0.0.1:{Ports.free().amqp}/"
    settings = accounts.broker(system, "registration", url=url, confirm_seconds=0.3)
    broker = make_broker(settings, "test")
    publisher = Publisher(broker, settings)
    await _fails_in_time(publisher)  # never started
    async with running(broker):
        await _fails_in_time(publisher)
        await asyncio.gather(*(_fails_in_time(publisher) for _ in range(20)))


async def test_a_broker_that_takes_the_connection_and_says_nothing(system: System) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"amqp://registration:x@127.0.0.1:{server.getsockname()[1]}/"
        settings = accounts.broker(system, "registration", url=url, confirm_seconds=0.3)
        broker = make_broker(settings, "test")
        async with running(broker):
            await _fails_in_time(Publisher(broker, settings))


async def test_a_wrong_password_is_away_and_no_hang(system: System) -> None:
    settings = accounts.broker(
        system, "registration", url=f"amqp://registration:wrong@{system.backing.amqp}/", confirm_seconds=0.3
    )
    broker = make_broker(settings, "test")
    async with running(broker):
        await _fails_in_time(Publisher(broker, settings))


async def test_a_question_that_nobody_waits_for_any_more_closes_no_connection(system: System) -> None:
    """Readiness gives up after two seconds: on a busy machine in the middle of it."""
    settings, closed = accounts.broker(system, "registration"), []
    broker = make_broker(settings, "test")
    await broker.start()
    try:
        assert broker._connection is not None
        broker._connection.close_callbacks.add(lambda *_: closed.append(1))
        for number in range(40):
            asking = asyncio.create_task(exchange_answers(broker, settings))
            await asyncio.sleep(number / 4000)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await Publisher(broker, settings).publish(_rights(), mandatory=False)
        assert not closed
    finally:
        await broker.stop()
