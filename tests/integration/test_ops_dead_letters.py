"""Looking at dead letters: all are there, grouped by cause, and looking changes nothing, whoever looks at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from deploy.local.system import System
from services.registration_service.copies import fingerprint
from services.registration_service.database import Database
from services.registration_service.errors import DeadLettersBusy
from services.registration_service.ops.dead_letters import DEPTH
from services.registration_service.ops.letter import Letter
from services.registration_service.ops.listing import find_letter
from shared.errors import BrokerAway
from tests.integration import given, letters
from tests.integration.letters import WHEN, Desk
from tests.integration.queues import channel_of, send, soon

PATIENT = "Mme Dupont née Martin"


@pytest.fixture
async def desk(
    system: System, admin: AbstractChannel, database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    async with letters.opened(system, admin, database, monkeypatch) as desk:
        yield desk


async def test_letters_are_grouped_by_their_cause_and_the_newest_come_first(desk: Desk) -> None:
    for reason in ("KeyError", "KeyError", "ValueError"):
        last = await desk.bury(reason=reason)
    found = await desk.list(limit=2)
    assert (found.total, found.complete) == (3, True)
    groups = {cause: (group.reason, group.count, group.first) for cause, group in found.groups.items()}
    assert groups == {
        fingerprint(desk.work.name, "KeyError"): ("KeyError", 2, WHEN),
        fingerprint(desk.work.name, "ValueError"): ("ValueError", 1, WHEN),
    }
    assert len(found.items) == 2
    assert found.items[0].message_id == last
    one = await desk.list(cause=fingerprint(desk.work.name, "ValueError"))
    assert (one.total, list(one.groups)) == (1, [found.items[0].cause])


async def test_what_a_letter_says_of_itself(desk: Desk) -> None:
    data = given.image(exam="EX-4711", description=PATIENT)
    message_id = await desk.bury(given.event(data))
    one = await desk.only()
    assert (one.queue, one.reason, one.attempt, one.first) == (desk.work.name, "KeyError", 4, WHEN)
    assert (one.publisher, one.type, one.subject) == ("upload", "dicom.stored", data.orthanc_instance_id)
    assert (one.message_id, one.correlation_id) == (message_id, "corr-4711")
    assert (one.sop_instance_uid, one.exam_id) == (data.sop_instance_uid, "EX-4711")


async def test_free_text_is_shown_nowhere(desk: Desk) -> None:
    data = given.image(exam=PATIENT, description=PATIENT, modality=PATIENT)
    await desk.bury(
        given.event(data, subject=PATIENT, id=PATIENT, correlationid=PATIENT),
        message_id=PATIENT,
        correlation_id=PATIENT,
        headers={PATIENT: PATIENT, "x-publisher": PATIENT},
    )
    one = await desk.only()
    whole = await find_letter(desk.letters, one.id)
    assert whole is not None
    shown = f"{one} {whole.headers} {whole.event}"
    assert "Dupont" not in shown
    assert data.sop_instance_uid in shown
    event: Any = whole.event
    assert (event["data"]["context"]["description"], event["data"]["modality"]) == ("***", "***")
    assert whole.headers["otherFields"] == 2  # the stranger's, and the reason, which the letter tells


async def test_a_letter_that_lies_there_no_more_is_not_found(desk: Desk) -> None:
    await desk.bury()
    assert await find_letter(desk.letters, "0" * 16) is None


async def test_looking_fifty_times_loses_nothing(desk: Desk) -> None:
    sent = {await desk.bury() for _ in range(20)}
    ids = set()
    for _ in range(50):
        found = await desk.list()
        assert {one.message_id for one in found.items} == sent
        ids |= {one.id for one in found.items}
    assert len(ids) == 20  # and each keeps its id
    message = await desk.dead.get()
    count: Any = message.headers["x-delivery-count"]
    assert 50 <= count <= 60  # of a million
    assert await desk.count(desk.work) == 0


async def test_many_letters_in_many_handfuls(desk: Desk) -> None:
    async def bury_some() -> None:
        for _ in range(100):
            await desk.bury()

    await asyncio.gather(*(bury_some() for _ in range(20)))
    found = await desk.with_settings(handful=150).list()
    assert (found.total, found.complete, len({one.id for one in found.items})) == (2000, True, 2000)
    assert await desk.count(desk.dead) == 2000


async def test_readers_take_turns_and_each_sees_all(desk: Desk) -> None:
    for _ in range(300):
        await desk.bury()
    found = await asyncio.gather(*(desk.list() for _ in range(5)))
    assert [one.total for one in found] == [300] * 5


async def test_a_reader_stays_alone_until_the_letters_are_back(desk: Desk) -> None:
    """The broker puts them back a moment after the channel closed; this one's last letter takes half a second."""
    await desk.bury()

    async def late() -> None:
        await asyncio.sleep(0.5)
        await desk.bury()

    async with desk.letters.reading() as reading:
        reading.depth = 2
        coming = asyncio.create_task(late())
    assert await desk.count(desk.dead) == 2
    await coming


async def test_who_waits_too_long_for_another_reader_is_told_so(desk: Desk) -> None:
    await desk.bury()
    hasty = desk.with_settings(busy_seconds=0.3)
    letters = hasty.letters
    async with desk.letters.reading():
        for reader in (hasty.letters, letters, letters):
            with pytest.raises(DeadLettersBusy):
                await letters_listed(reader)
    assert (await letters_listed(letters)) == 1


async def letters_listed(reader: Any) -> int:
    async with reader.reading() as reading:
        await reading.through(lambda *_: False)
        return int(reading.seen)


async def test_a_reader_that_is_cut_off_leaves_all_there(desk: Desk) -> None:
    for _ in range(50):
        await desk.bury()

    def fail(letter: Letter, message: AbstractIncomingMessage) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with desk.letters.reading() as reading:
            await reading.through(fail)
    assert await desk.count(desk.dead) == 50


async def test_a_lost_connection_is_told_and_nothing_is_lost(desk: Desk) -> None:
    for _ in range(50):
        await desk.bury()
    lost: list[asyncio.Task[None]] = []

    def cut(letter: Letter, message: AbstractIncomingMessage) -> bool:
        lost.append(asyncio.create_task(reading._channel._connection.close()))  # type: ignore[attr-defined]
        return False

    reader = desk.letters
    with pytest.raises(BrokerAway):  # noqa: PT012  # the reading and its end are one
        async with reader.reading() as reading:
            reading.depth += 1
            await reading.through(cut)
    await asyncio.gather(*lost)
    await soon(lambda: _is(desk, 50), what="all letters")


async def _is(desk: Desk, count: int) -> bool:
    return await desk.count(desk.dead) == count


async def test_there_is_no_time_for_all_of_them(desk: Desk) -> None:
    for _ in range(50):
        await desk.bury()
    found = await desk.with_settings(read_seconds=0.0).list()
    assert not found.complete
    assert (await desk.list()).total == 50


async def test_what_the_broker_itself_dead_lettered(desk: Desk) -> None:
    data = given.image()
    body = given.event(data).model_dump_json(by_alias=True).encode()
    await send(desk.admin, body, desk.work.name, user_id="admin", headers={"x-publisher": "upload", "x-attempt": 2})
    message = await soon(lambda: desk.work.get(fail=False))
    assert message is not None
    await message.reject(requeue=False)
    await soon(lambda: _is(desk, 1), what="the letter")
    one = await desk.only()
    assert (one.queue, one.reason) == (desk.work.name, "returned by the broker: rejected")
    assert (one.publisher, one.attempt, one.subject) == ("upload", 2, data.orthanc_instance_id)
    assert one.cause == fingerprint(desk.work.name, "returned by the broker: rejected")
    assert one.last is not None


async def test_a_strangers_headers_are_not_believed(desk: Desk, system: System) -> None:
    async with channel_of(system, "registration") as stranger:
        forged = {"x-queue": desk.work.name, "x-reason": PATIENT, "x-publisher": "upload", "x-attempt": 7}
        await send(stranger, b"{}", desk.dead.name, user_id="registration", headers=forged)
    one = await desk.only()
    assert (one.queue, one.reason, one.publisher, one.attempt) == ("", "unknown", "registration", 1)


async def test_equal_letters_have_ids_of_their_own(desk: Desk) -> None:
    same = {"x-last": WHEN.isoformat()}
    for _ in range(3):
        await desk.bury(b"{}", message_id="m", headers=same)
    ids = {one.id for one in (await desk.list()).items}
    assert ids == {one.id for one in (await desk.list()).items}
    shortest = min(ids, key=len)
    assert ids == {shortest, f"{shortest}-2", f"{shortest}-3"}


async def test_the_metric_counts_them_all_even_while_they_are_read(desk: Desk) -> None:
    for _ in range(3):
        await desk.bury()
    await desk.letters.count(desk.broker)
    assert DEPTH._value.get() == 3
    async with desk.letters.reading() as reading:
        await reading.through(lambda *_: False)
        await desk.letters.count(desk.broker)
        assert DEPTH._value.get() == 3
