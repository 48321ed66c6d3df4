"""The outbox: in order, deleted once confirmed, kept while the broker is away, sent by one process at a time."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from sqlalchemy import delete, func, select, text

from deploy.local.ports import Ports
from deploy.local.system import System
from services.registration_service import outbox
from services.registration_service.database import Database
from services.registration_service.models import OutboxMessage
from services.registration_service.outbox import Outbox
from shared.broker import Publisher, make_broker
from shared.errors import BrokerAway
from shared.events import ExamRightsChanged, ImageMoved
from tests.integration import accounts, given
from tests.integration.queues import own_queue, take

KEY = "exam.rights-changed"


@pytest.fixture(autouse=True)
async def _empty(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(delete(OutboxMessage))


@pytest.fixture
async def publisher(system: System) -> AsyncIterator[Publisher]:
    """As the registration service publishes."""
    settings = accounts.broker(system, "registration")
    broker = make_broker(settings, "registration")
    await broker.start()
    yield Publisher(broker, settings)
    await broker.stop()


@pytest.fixture
async def announced(admin: AbstractChannel) -> AsyncIterator[AbstractQueue]:
    """What is said about rights, by anybody."""
    async with own_queue(admin, KEY) as queue:
        yield queue


async def _say(database: Database, exam: str, *epochs: int) -> None:
    for epoch in epochs:
        async with database.transaction() as session:
            outbox.say(session, ExamRightsChanged(examen_id=exam, epoch=epoch), exam)


async def _left(database: Database) -> int:
    async with database.transaction() as session:
        return int(await session.scalar(select(func.count()).select_from(OutboxMessage)) or 0)


async def _heard(queue: AbstractQueue, exam: str, count: int) -> list[int]:
    """The epochs of the next events about this exam; those of other tests are passed over."""
    epochs: list[int] = []
    while len(epochs) < count:
        said = json.loads((await take(queue)).body)
        if said["subject"] == exam:
            epochs.append(said["data"]["epoch"])
    return epochs


async def test_all_is_sent_in_order_and_deleted(
    database: Database, publisher: Publisher, announced: AbstractQueue
) -> None:
    exam = given.name()
    await _say(database, exam, *range(1, 26))
    await Outbox(database, publisher, 10).send_all()
    assert await _heard(announced, exam, 25) == list(range(1, 26))
    assert await _left(database) == 0


async def test_a_change_of_rights_overtakes_all_that_waits(
    database: Database, publisher: Publisher, announced: AbstractQueue
) -> None:
    moved = ImageMoved(
        image_id="i", sop_instance_uid="1.2", orthanc_instance_id=None, from_examen_id="EX-1", to_examen_id="EX-2"
    )
    exam = given.name()
    async with database.transaction() as session:
        for _ in range(7):
            outbox.say(session, moved, "1.2")
        await session.flush()
        waiting = (await session.scalars(select(OutboxMessage.id).order_by(OutboxMessage.id))).all()
    await _say(database, exam, 1, 2, 3)
    sending = Outbox(database, publisher, 5)
    await sending._send_some()
    assert await _heard(announced, exam, 3) == [1, 2, 3]
    async with database.transaction() as session:
        left = (await session.scalars(select(OutboxMessage.id).order_by(OutboxMessage.id))).all()
    assert left == waiting[2:]
    await sending.send_all()
    assert await _left(database) == 0


async def test_an_event_leaves_as_it_was_written(
    database: Database, publisher: Publisher, announced: AbstractQueue
) -> None:
    exam = given.name()
    await _say(database, exam, 7)
    async with database.transaction() as session:
        written = (await session.scalars(select(OutboxMessage))).one()
    await Outbox(database, publisher, 10).send_all()
    message = await take(announced)
    assert message.body.decode() == written.body
    assert (message.routing_key, message.type, message.user_id) == (KEY, KEY, "registration")
    assert message.message_id == written.event_id == json.loads(message.body)["id"]


async def test_what_nobody_waits_for_is_gone_without_an_error(database: Database, publisher: Publisher) -> None:
    await _say(database, given.name(), 1)
    await Outbox(database, publisher, 10).send_all()
    assert await _left(database) == 0


async def test_it_stays_while_the_broker_is_away(
    system: System, database: Database, publisher: Publisher, announced: AbstractQueue
) -> None:
    exam = given.name()
    await _say(database, exam, 1, 2)
    settings = accounts.broker(
        system, "registration", url=f"amqp://registration:x@127.0.0.1:{Ports.free().amqp}/", confirm_seconds=0.3
    )
    away = make_broker(settings, "registration")
    with pytest.raises(BrokerAway):
        await Outbox(database, Publisher(away, settings), 10).send_all()
    await away.stop()
    assert await _left(database) == 2
    await Outbox(database, publisher, 10).send_all()
    assert await _heard(announced, exam, 2) == [1, 2]
    assert await _left(database) == 0


async def test_while_another_process_sends_nothing_is_done(database: Database, publisher: Publisher) -> None:
    await _say(database, given.name(), 1)
    async with database.transaction() as other:
        await other.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": outbox._SENDER_LOCK})
        await Outbox(database, publisher, 10).send_all()
        assert await _left(database) == 1
    await Outbox(database, publisher, 10).send_all()
    assert await _left(database) == 0


async def test_several_senders_at_once_send_each_event_once(
    database: Database, publisher: Publisher, announced: AbstractQueue
) -> None:
    exam = given.name()
    await _say(database, exam, *range(1, 31))
    senders = [Outbox(database, publisher, 5) for _ in range(4)]
    while await _left(database):
        await asyncio.gather(*(sender.send_all() for sender in senders))
    assert await _heard(announced, exam, 30) == list(range(1, 31))
    await asyncio.sleep(0.2)
    while more := await announced.get(fail=False, no_ack=True):
        assert json.loads(more.body)["subject"] != exam, "sent twice"
