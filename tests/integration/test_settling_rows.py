"""What the ledger says of an image whose own message fails."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel

from deploy.local.system import System
from shared.events import DicomStored
from tests.integration import given, scratch, work_desk
from tests.integration.queues import take
from tests.integration.work_desk import Desk, broken


@pytest.fixture
async def desk(system: System, admin: AbstractChannel, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with work_desk.set_up(system, admin, monkeypatch) as desk:
        yield desk


@pytest.mark.parametrize(("state", "then"), [("seen", "dead"), ("waiting", "waiting"), ("registered", "registered")])
async def test_the_row_of_an_image_whose_message_dies_says_so(desk: Desk, state: str, then: str) -> None:
    data = given.image()
    await _note(desk, data, state)
    async with desk.consumer(broken):
        await desk.send(given.event(data), user_id="admin")
        await take(desk.dead)
    expected = ("its message is a dead letter: KeyError", "dead-letter") if then == "dead" else (None, None)
    assert await _row(desk, data) == (then, *expected)


async def test_an_image_whose_message_comes_back_is_not_told_again_before(desk: Desk) -> None:
    desk.messages = desk.messages.model_copy(update={"retry_seconds": [500.0]})
    data = given.image()
    await _note(desk, data, "seen")
    async with desk.consumer(broken):
        await desk.send(given.event(data), user_id="admin")
        await take(desk.rungs[0])
    query = "SELECT publish_after > now() + interval '900 s' FROM intake_ledger WHERE orthanc_id = :id"
    assert await scratch.fetch(desk.system, "examflow", query, id=data.orthanc_instance_id) == [(True,)]
    assert await _row(desk, data) == ("seen", None, None)


@pytest.mark.parametrize(("pause", "held_back"), [(10.0, 300), (500.0, 990)])
async def test_what_a_failing_message_says_is_known_before_there_is_a_row(
    desk: Desk, pause: float, held_back: int
) -> None:
    """The reconciler may tell of the image before the message comes back, and knows neither sender nor exam.

    After a short pause it stands behind a backlog for longer than that.
    """
    desk.messages = desk.messages.model_copy(update={"retry_seconds": [pause]})
    data = given.image(by="alice", exam="EX-1", description="knee")
    async with desk.consumer(broken):
        await desk.send(given.event(data), user_id="admin")
        await take(desk.rungs[0])
    query = """
        SELECT uploaders, origin->>'actor', wanted_exam_id, wanted_description, attempts,
               publish_after > now() + make_interval(secs => :held_back)
        FROM intake_ledger WHERE orthanc_id = :id
    """
    values = {"id": data.orthanc_instance_id, "held_back": held_back}
    found = await scratch.fetch(desk.system, "examflow", query, **values)
    assert found == [(["alice"], "alice", "EX-1", "knee", 1, True)]
    assert await _row(desk, data) == ("seen", None, None)


async def test_one_that_dies_at_once_leaves_a_dead_row(desk: Desk) -> None:
    desk.messages = desk.messages.model_copy(update={"retry_seconds": []})
    data = given.image()
    async with desk.consumer(broken):
        await desk.send(given.event(data), user_id="admin")
        await take(desk.dead)
    assert await _row(desk, data) == ("dead", "its message is a dead letter: KeyError", "dead-letter")


async def test_what_is_decided_is_not_changed_by_a_failing_message(desk: Desk) -> None:
    data = given.image(by="alice", exam="EX-1")
    await _note(desk, data, "waiting")
    async with desk.consumer(broken):
        await desk.send(given.event(data), user_id="admin")
        await take(desk.dead)
    query = "SELECT uploaders, wanted_exam_id FROM intake_ledger WHERE orthanc_id = :id"
    assert await scratch.fetch(desk.system, "examflow", query, id=data.orthanc_instance_id) == [([], None)]
    assert await _row(desk, data) == ("waiting", None, None)


async def test_a_message_of_somebody_who_is_not_believed_marks_no_row(desk: Desk) -> None:
    data = given.image()
    await _note(desk, data, "seen")
    async with desk.consumer(broken):
        await desk.send(given.event(data))
        await take(desk.dead)
    assert await _row(desk, data) == ("seen", None, None)


async def _note(desk: Desk, data: DicomStored, state: str) -> None:
    """Not due: the running reconciler would find that Orthanc has no such image."""
    query = """
        INSERT INTO intake_ledger
            (orthanc_id, study_instance_uid, series_instance_uid, sop_instance_uid, state, publish_after)
        VALUES (:id, '1', '1', '1', :state, now() + interval '300 s')
    """
    await scratch.fetch(desk.system, "examflow", query, id=data.orthanc_instance_id, state=state)


async def _row(desk: Desk, data: DicomStored) -> tuple[Any, ...]:
    query = "DELETE FROM intake_ledger WHERE orthanc_id = :id RETURNING state, reason, code"
    [found] = await scratch.fetch(desk.system, "examflow", query, id=data.orthanc_instance_id)
    return tuple(found)
