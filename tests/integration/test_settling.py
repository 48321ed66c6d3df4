"""What becomes of a message, on a real broker with a consumer of our own, whose pauses are short."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel

from deploy.local.system import System
from services.registration_service import settling
from services.registration_service.copies import Copies
from shared.errors import DatabaseAway
from shared.events import CONTENT_TYPE, DicomStored, Event
from tests.integration import given, work_desk
from tests.integration.queues import send, soon, take
from tests.integration.work_desk import RETRIES, Desk, broken


@pytest.fixture
async def desk(system: System, admin: AbstractChannel, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with work_desk.set_up(system, admin, monkeypatch) as desk:
        yield desk


async def _nothing(event: Event[DicomStored]) -> None:
    """Done."""


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
    async with desk.consumer(broken):
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
    async with desk.consumer(broken):
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
