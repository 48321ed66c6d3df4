"""Dead letters replayed: killed anywhere, a letter is there twice rather than not at all."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel
from sqlalchemy import update

from deploy.local.system import System
from services.registration_service.copies import Copies
from services.registration_service.database import Database
from services.registration_service.dead import CODE, DeadRows
from services.registration_service.ledger import State
from services.registration_service.models import LedgerEntry
from services.registration_service.ops import letter
from services.registration_service.ops.peeking import Reading
from shared.errors import BrokerAway, DatabaseAway
from shared.events import DicomStored
from tests.integration import given, letters, rows
from tests.integration.letters import ALL, WHEN, Desk, choice
from tests.integration.queues import channel_of, own_queue, send, take


class Killed(BaseException):
    """The process is gone at this point."""


@pytest.fixture
async def desk(
    system: System, admin: AbstractChannel, database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    async with letters.opened(system, admin, database, monkeypatch) as desk:
        yield desk


async def _dead_image(desk: Desk) -> DicomStored:
    """An image whose message is a dead letter, and whose row says so."""
    data = given.image(exam=given.name())
    await given.take(desk.database, data)
    async with desk.database.transaction() as session:
        mine = LedgerEntry.orthanc_id == data.orthanc_instance_id
        await session.execute(update(LedgerEntry).where(mine).values(state=State.SEEN, code=None, reason=None))
    event = given.event(data)
    await DeadRows(desk.database, ["upload"]).mark(event.model_dump_json(by_alias=True).encode(), "upload", "KeyError")
    await desk.bury(event)
    return data


async def test_a_replayed_letter_goes_to_its_work_queue_as_if_for_the_first_time(desk: Desk) -> None:
    data = given.image(exam="EX-4711")
    event = given.event(data)
    message_id = await desk.bury(event, headers={"x-of-the-sender": "kept", "x-routing-key": "dicom.stored"})
    one = await desk.only()
    done = await desk.replay.replay(choice(one), "olga")
    assert (done.done, done.refused, done.batch.unknown, done.batch.more) == ([one.id], {}, [], False)
    assert (await desk.list()).total == 0
    copy = await take(desk.work)
    assert copy.message_id == message_id
    assert copy.body == event.model_dump_json(by_alias=True).encode()
    own = {name: value for name, value in copy.headers.items() if name != "x-delivery-count"}
    assert own == {
        "x-attempt": 1,
        "x-publisher": "upload",
        "x-routing-key": "dicom.stored",
        "x-first": WHEN.isoformat(),
        "x-of-the-sender": "kept",
    }
    assert (copy.user_id, copy.delivery_mode, copy.content_type) == ("admin", 2, "application/cloudevents+json")
    assert await desk.work.get(fail=False) is None
    audited = await rows.audited(desk.database, subject=data.sop_instance_uid)
    assert audited == [("olga", "dead-letter.replay", "replayed")]
    assert await rows.audited(desk.database, exam_id="EX-4711", subject=data.sop_instance_uid) == audited


async def test_the_row_of_its_image_is_undecided_again(desk: Desk) -> None:
    data = await _dead_image(desk)
    assert (await rows.entry(desk.database, data)).code == CODE
    await desk.replay.replay(ALL, "olga")
    entry = await rows.entry(desk.database, data)
    assert (entry.state, entry.code, entry.reason, entry.publish_after) == (State.SEEN, None, None, None)


async def test_a_partners_letter_changes_no_row(desk: Desk) -> None:
    data = await _dead_image(desk)
    await desk.replay.drop(ALL, "olga", "another one is meant")
    await desk.bury(given.event(data), headers={"x-publisher": "partner-a"})
    await desk.replay.replay(ALL, "olga")
    assert (await rows.entry(desk.database, data)).state == State.DEAD


async def test_killed_between_the_copy_and_the_acknowledgement(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    data = await _dead_image(desk)
    one = await desk.only()

    async def killed(self: Reading, message: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Reading, "remove", killed)
        with pytest.raises(Killed):
            await desk.replay.replay(ALL, "olga")
    assert await desk.only() == one  # the letter
    first = await take(desk.work)  # and its copy
    assert (await desk.replay.replay(ALL, "olga")).done == [one.id]
    second = await take(desk.work)
    assert first.message_id == second.message_id == one.message_id
    assert (await rows.entry(desk.database, data)).state == State.SEEN


async def test_killed_before_the_copy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    data = await _dead_image(desk)

    async def killed(self: Copies, *_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Copies, "send_anew", killed)
        with pytest.raises(Killed):
            await desk.replay.replay(ALL, "olga")
    assert (await desk.list()).total == 1
    assert await desk.work.get(fail=False) is None
    assert (await rows.entry(desk.database, data)).state == State.SEEN  # the reconciler tells of it, if nobody replays


async def test_nothing_is_sent_or_dropped_that_is_not_audited(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.bury()

    def away(*_: object) -> None:
        raise DatabaseAway

    monkeypatch.setattr(Database, "transaction", away)
    with pytest.raises(DatabaseAway):
        await desk.replay.replay(ALL, "olga")
    with pytest.raises(DatabaseAway):
        await desk.replay.drop(ALL, "olga", "not needed")
    assert (await desk.list()).total == 1
    assert await desk.work.get(fail=False) is None


async def test_what_the_broker_does_not_confirm_stays(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy is mandatory: acknowledging the letter without it would lose the message."""
    gone = f"test.{uuid.uuid4()}"
    monkeypatch.setattr(letter, "WORK_QUEUES", (desk.work.name, gone))
    await desk.bury(headers={"x-queue": gone})
    with pytest.raises(BrokerAway):
        await desk.replay.replay(ALL, "olga")
    lost = await desk.only()
    await desk.bury(reason="another")
    done = await desk.with_settings(at_once=1).replay.replay(ALL, "olga")
    assert (len(done.done), done.refused) == (1, {lost.id: "the broker did not confirm it"})
    assert await desk.only() == lost


async def test_what_there_was_no_time_for_is_for_another_request(desk: Desk) -> None:
    await desk.bury()
    done = await desk.with_settings(send_seconds=-1.0).replay.replay(ALL, "olga")
    assert (done.done, done.refused, done.batch.more) == ([], {}, True)
    assert (await desk.list()).total == 1


async def test_no_header_names_another_queue(desk: Desk, system: System, admin: AbstractChannel) -> None:
    async with channel_of(system, "registration") as stranger, own_queue(admin) as mine:
        forged = {"x-queue": desk.work.name, "x-publisher": "upload"}
        await send(stranger, b"{}", desk.dead.name, user_id="registration", headers=forged)
        await desk.bury(headers={"x-queue": mine.name})
        done = await desk.replay.replay(ALL, "olga")
        assert done.done == []
        assert set(done.refused.values()) == {"its work queue is not known"}
        assert await mine.get(fail=False) is None
    assert await desk.work.get(fail=False) is None
    assert (await desk.list()).total == 2


async def test_what_the_broker_itself_dead_lettered_is_replayed(desk: Desk) -> None:
    await send(desk.admin, b"{}", desk.work.name, user_id="admin", headers={"x-publisher": "upload"})
    message = await take_unacknowledged(desk)
    await message.reject(requeue=False)
    while not await desk.count(desk.dead):
        await asyncio.sleep(0.02)
    await desk.replay.replay(ALL, "olga")
    copy = await take(desk.work)
    assert (copy.headers["x-publisher"], copy.headers["x-attempt"]) == ("upload", 1)
    assert copy.headers["x-routing-key"] == desk.work.name  # by which it came, not by which it died
    assert "x-death" not in copy.headers  # else its next letter would tell of this death


async def take_unacknowledged(desk: Desk) -> Any:
    while (message := await desk.work.get(fail=False)) is None:
        await asyncio.sleep(0.02)
    return message


@pytest.mark.parametrize("header", ["CC", "BCC"])
async def test_a_copy_goes_nowhere_else(desk: Desk, admin: AbstractChannel, header: str) -> None:
    async with own_queue(admin) as elsewhere:
        await desk.bury(headers={header: [elsewhere.name]})
        await elsewhere.purge()  # where the letter itself went
        await desk.replay.replay(ALL, "olga")
        await take(desk.work)
        assert await elsewhere.get(fail=False) is None


async def test_many_are_replayed_in_batches_each_once(desk: Desk) -> None:
    async def bury_some() -> None:
        for _ in range(50):
            await desk.bury()

    await asyncio.gather(*(bury_some() for _ in range(10)))
    left = (await desk.list()).items
    while left:
        done = await desk.replay.replay(choice(*left, limit=200), "olga")
        assert done.batch.unknown == []
        left = [one for one in left if one.id not in done.done]
        assert done.batch.more == bool(left)
    assert (await desk.count(desk.dead), await desk.count(desk.work)) == (0, 500)


async def test_bodies_in_memory_are_bounded(desk: Desk) -> None:
    for _ in range(5):
        await desk.bury()
    size = (await desk.list()).items[0].size
    small = desk.with_settings(batch_bytes=2 * size + size // 2)
    done = await small.replay.replay(ALL, "olga")
    assert (len(done.done), done.batch.more) == (2, True)
    done = await desk.with_settings(batch_bytes=1).replay.replay(ALL, "olga")
    assert (len(done.done), done.batch.more) == (1, True)


async def test_letters_that_are_gone_are_named(desk: Desk) -> None:
    await desk.bury()
    gone = await desk.only()
    await desk.replay.drop(ALL, "olga", "not needed")
    done = await desk.replay.replay(choice(gone), "olga")
    assert (done.done, done.batch.unknown, done.batch.more) == ([], [gone.id], False)
