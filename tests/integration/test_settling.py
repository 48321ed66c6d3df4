"""What becomes of a message, on a real broker with a consumer of our own, whose pauses are short."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from faststream import AckPolicy
from faststream.rabbit import RabbitBroker, RabbitQueue
from faststream.rabbit.annotations import RabbitMessage

from deploy.local.system import System
from services.registration_service import settling
from services.registration_service.consumers import _as_bytes
from services.registration_service.copies import Copies
from services.registration_service.database import Database
from services.registration_service.dead import DeadRows
from services.registration_service.settings import MessageSettings
from services.registration_service.settling import Settling
from shared.broker import make_broker
from shared.errors import DatabaseAway
from shared.events import CONTENT_TYPE, DicomStored, Event
from tests.integration import accounts, given, scratch
from tests.integration.queues import own_queue, send, soon, take

RETRIES = [0.05, 0.1]
Work = Callable[[Event[DicomStored]], Awaitable[None]]


@dataclass
class Desk:
    """Queues of a test's own, and consumers for them."""

    system: System
    admin: AbstractChannel
    work: AbstractQueue
    rungs: list[AbstractQueue]
    dead: AbstractQueue
    calls: list[Event[DicomStored]] = field(default_factory=list)
    messages: MessageSettings = field(
        default_factory=lambda: MessageSettings(retry_seconds=RETRIES, hold_pause_seconds=0.05)
    )

    @contextlib.asynccontextmanager
    async def consumer(self, work: Work) -> AsyncIterator[RabbitBroker]:
        """A service that does this with each message."""
        settings = accounts.broker(self.system, "admin")
        database = Database(accounts.database(self.system, "examflow"))
        broker = make_broker(settings, "test")
        broker.config.broker_config.graceful_timeout = 0.2
        decisions = Settling(Copies(broker, settings), DeadRows(database, ["admin"]), self.messages)

        async def counted(event: Event[DicomStored], _: str) -> None:
            self.calls.append(event)
            await work(event)

        @broker.subscriber(
            RabbitQueue(self.work.name, declare=False), ack_policy=AckPolicy.MANUAL, decoder=_as_bytes, no_reply=True
        )
        async def consume(message: RabbitMessage) -> None:
            await decisions.settle(message, self.work.name, Event[DicomStored], counted)

        await broker.start()
        try:
            yield broker
        finally:
            await broker.stop()
            await database.aclose()

    async def send(self, event: Event[DicomStored], **properties: Any) -> str:
        body = event.model_dump_json(by_alias=True).encode()
        return await send(self.admin, body, self.work.name, **properties)

    async def is_settled(self) -> None:
        """All was acknowledged: nothing comes back to the queue, nor lies in a rung."""
        for queue in (self.work, *self.rungs):
            assert await queue.get(fail=False) is None


@pytest.fixture
async def desk(system: System, admin: AbstractChannel, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with contextlib.AsyncExitStack() as queues:
        work, dead = [await queues.enter_async_context(own_queue(admin)) for _ in range(2)]
        monkeypatch.setattr(settling, "DEAD_QUEUE", dead.name)
        back: dict[str, Any] = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": work.name}
        rungs = []
        for attempt in range(1, len(RETRIES) + 1):
            rungs.append(await admin.declare_queue(settling.rung(work.name, attempt), arguments=back))
            queues.push_async_callback(rungs[-1].delete, if_unused=False, if_empty=False)
        yield Desk(system, admin, work, rungs, dead)


async def _nothing(event: Event[DicomStored]) -> None:
    """Done."""


async def _broken(event: Event[DicomStored]) -> None:
    raise KeyError("P. Atient")


async def test_what_is_done_is_acknowledged(desk: Desk) -> None:
    sent = [given.event(given.image()) for _ in range(100)]
    async with desk.consumer(_nothing):
        for event in sent:
            await desk.send(event)
        await soon(lambda: _true(len(desk.calls) == 100), what="all messages")
    await desk.is_settled()
    assert {event.id for event in desk.calls} == {event.id for event in sent}
    assert await desk.dead.get(fail=False) is None


async def test_what_always_fails_is_tried_again_and_then_dead(desk: Desk) -> None:
    event = given.event(given.image())
    async with desk.consumer(_broken):
        began = asyncio.get_running_loop().time()
        message_id = await desk.send(event, headers={"x-of-the-sender": "kept"}, content_type=CONTENT_TYPE)
        dead = await take(desk.dead)
        assert asyncio.get_running_loop().time() - began >= sum(RETRIES)
    await desk.is_settled()
    assert [call.id for call in desk.calls] == [event.id] * 3
    assert dead.body == event.model_dump_json(by_alias=True).encode()
    assert (dead.message_id, dead.content_type) == (message_id, CONTENT_TYPE)
    assert (dead.delivery_mode, dead.expiration) == (2, None)
    assert (dead.headers["x-attempt"], dead.headers["x-reason"]) == (3, "KeyError")
    assert dead.headers["x-queue"] == desk.work.name
    assert dead.headers["x-of-the-sender"] == "kept"
    first, last = (datetime.fromisoformat(str(dead.headers[name])) for name in ("x-first", "x-last"))
    assert (last - first).total_seconds() >= RETRIES[1]
    assert "Atient" not in str(dead.headers)
    assert await desk.dead.get(fail=False) is None


async def test_a_failure_that_passes_is_done_at_a_later_attempt(desk: Desk) -> None:
    async def at_the_second(event: Event[DicomStored]) -> None:
        if len(desk.calls) == 1:
            raise ZeroDivisionError

    async with desk.consumer(at_the_second):
        await desk.send(given.event(given.image()))
        await soon(lambda: _true(len(desk.calls) == 2), what="the second attempt")
    await desk.is_settled()
    assert await desk.dead.get(fail=False) is None


async def test_while_a_dependency_is_away_the_message_is_held_and_no_attempt_used(desk: Desk) -> None:
    mended = asyncio.Event()

    async def away(event: Event[DicomStored]) -> None:
        if not mended.is_set():
            raise DatabaseAway

    async with desk.consumer(away):
        await desk.send(given.event(given.image()))
        # More often than there are attempts.
        await soon(lambda: _true(len(desk.calls) > 5), what="many tries")
        assert await desk.rungs[0].get(fail=False) is None
        mended.set()
        tries = len(desk.calls)
        await soon(lambda: _true(len(desk.calls) > tries), what="the last try")
    await desk.is_settled()
    assert await desk.dead.get(fail=False) is None


async def test_one_that_is_held_does_not_hold_the_others(desk: Desk) -> None:
    held = given.event(given.image())
    done: list[str] = []

    async def work(event: Event[DicomStored]) -> None:
        if event.id == held.id:
            raise DatabaseAway
        done.append(event.id)

    async with desk.consumer(work):
        await desk.send(held)
        other = given.event(given.image())
        await desk.send(other)
        await soon(lambda: _true(done == [other.id]), what="the other message")
    assert (await take(desk.work)).redelivered


async def test_what_is_held_too_long_goes_back_to_the_queue(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.messages = desk.messages.model_copy(update={"hold_at_most_seconds": 0.1})
    mended = asyncio.Event()

    async def away(event: Event[DicomStored]) -> None:
        if not mended.is_set():
            raise DatabaseAway

    async with desk.consumer(away):
        await desk.send(given.event(given.image()))
        await soon(lambda: _true(len(desk.calls) > 6), what="many tries")
        mended.set()
        tries = len(desk.calls)
        await soon(lambda: _true(len(desk.calls) > tries), what="the last try")
    await desk.is_settled()
    assert await desk.dead.get(fail=False) is None


@pytest.mark.parametrize("how", ["stopped", "cancelled"])
async def test_who_goes_with_a_message_in_hand_gives_it_back(desk: Desk, how: str) -> None:
    in_hand: asyncio.Future[asyncio.Task[Any] | None] = asyncio.get_running_loop().create_future()

    async def never_done(event: Event[DicomStored]) -> None:
        in_hand.set_result(asyncio.current_task())
        await asyncio.Event().wait()

    message_id = await desk.send(given.event(given.image()))
    async with desk.consumer(never_done):
        task = await in_hand
        if how == "cancelled":
            assert task is not None
            task.cancel()
    back = await take(desk.work)
    assert (back.message_id, back.redelivered) == (message_id, True)
    assert "x-attempt" not in back.headers
    assert await desk.dead.get(fail=False) is None
    assert task is not None
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_an_attempt_counter_that_makes_no_sense_is_the_first_attempt(desk: Desk) -> None:
    async with desk.consumer(_broken):
        for counter in ("many", -7, None, {"a": 1}):
            await desk.send(given.event(given.image()), headers={"x-attempt": counter})
        letters = [await take(desk.dead) for _ in range(4)]
    assert [letter.headers["x-attempt"] for letter in letters] == [3] * 4
    assert len(desk.calls) == 12


async def test_a_copy_that_cannot_be_delivered_leaves_the_original(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy is mandatory: acknowledging the original without it would lose the message."""
    monkeypatch.setattr(settling, "DEAD_QUEUE", f"test.{uuid.uuid4()}")
    tries, send_copy = [], Copies.send

    async def counted(self: Copies, *arguments: Any) -> None:
        tries.append(arguments)
        await send_copy(self, *arguments)

    monkeypatch.setattr(Copies, "send", counted)
    async with desk.consumer(_nothing):
        message_id = await send(desk.admin, b"{", desk.work.name)
        await soon(lambda: _true(len(tries) > 2), what="several copies sent in vain")
        assert await desk.work.get(fail=False) is None  # still in hand
    assert (await take(desk.work)).message_id == message_id


async def _true(condition: object) -> bool:
    return bool(condition)


@pytest.mark.parametrize(("state", "then"), [("seen", "dead"), ("waiting", "waiting"), ("registered", "registered")])
async def test_the_row_of_an_image_whose_message_dies_says_so(desk: Desk, state: str, then: str) -> None:
    data = given.image()
    await _note(desk, data, state)
    async with desk.consumer(_broken):
        await desk.send(given.event(data), user_id="admin")
        await take(desk.dead)
    expected = ("its message is a dead letter: KeyError", "dead-letter") if then == "dead" else (None, None)
    assert await _row(desk, data) == (then, *expected)


async def test_an_image_whose_message_comes_back_is_not_told_again_before(desk: Desk) -> None:
    desk.messages = desk.messages.model_copy(update={"retry_seconds": [500.0]})
    data = given.image()
    await _note(desk, data, "seen")
    async with desk.consumer(_broken):
        await desk.send(given.event(data), user_id="admin")
        await take(desk.rungs[0])
    query = "SELECT publish_after > now() + interval '900 s' FROM intake_ledger WHERE orthanc_id = :id"
    assert await scratch.fetch(desk.system, "examflow", query, id=data.orthanc_instance_id) == [(True,)]
    assert await _row(desk, data) == ("seen", None, None)


async def test_a_message_of_somebody_who_is_not_believed_marks_no_row(desk: Desk) -> None:
    data = given.image()
    await _note(desk, data, "seen")
    async with desk.consumer(_broken):
        await desk.send(given.event(data))
        await take(desk.dead)
    assert await _row(desk, data) == ("seen", None, None)


async def _note(desk: Desk, data: DicomStored, state: str) -> None:
    query = """
        INSERT INTO intake_ledger (orthanc_id, study_instance_uid, series_instance_uid, sop_instance_uid, state)
        VALUES (:id, '1', '1', '1', :state)
    """
    await scratch.fetch(desk.system, "examflow", query, id=data.orthanc_instance_id, state=state)


async def _row(desk: Desk, data: DicomStored) -> tuple[Any, ...]:
    query = "DELETE FROM intake_ledger WHERE orthanc_id = :id RETURNING state, reason, code"
    [found] = await scratch.fetch(desk.system, "examflow", query, id=data.orthanc_instance_id)
    return tuple(found)
