"""What raises an exam's rights epoch, and says so in the same transaction: whatever makes answers about it wrong."""

import contextlib

import pytest

from deploy.local.system import System
from services.registration_service import images, rights
from services.registration_service.database import Database
from services.registration_service.models import LedgerEntry
from services.registration_service.ops import correct
from services.registration_service.vanished import settle_vanished
from shared.events import DicomStored
from shared.orthanc import Orthanc
from tests.integration import accounts, given, rows


@pytest.fixture
async def exams(database: Database) -> tuple[str, str]:
    """Two of Alice's."""
    left, other = given.name(), given.name()
    for exam in (left, other):
        await given.open_exam(database, exam, "user:alice")
    return left, other


async def _registered(database: Database, exam: str) -> DicomStored:
    data = given.image(exam=exam)
    assert (await given.take(database, data)).state == "registered"
    return data


async def _told(database: Database, exam: str) -> tuple[int, list[int]]:
    """The epoch as it stands, and the epochs that were told, in order."""
    said = [body["epoch"] for key, body in await rows.said(database, exam) if key == "exam.rights-changed"]
    return (await rows.exam(database, exam)).rights_epoch, said


async def test_a_new_image_raises_nothing(database: Database, exams: tuple[str, str]) -> None:
    await _registered(database, exams[0])
    assert await _told(database, exams[0]) == (1, [])


async def test_moving_an_image_voids_what_was_said_of_the_exam_that_it_leaves(
    database: Database, exams: tuple[str, str]
) -> None:
    left, other = exams
    image_id = (await rows.record(database, await _registered(database, left))).image_id
    for _ in range(2):  # the second time there is nothing to move
        async with database.transaction() as session:
            image = await images.seen_image(session, given.OVERSEER, image_id, hold=True)
            await images.move(session, image, other, "olga")
    assert await _told(database, left) == (2, [2])
    assert await _told(database, other) == (1, [])


async def test_so_does_an_operator(database: Database, exams: tuple[str, str]) -> None:
    left, other = exams
    data = await _registered(database, left)
    async with database.transaction() as session:
        await correct.move(session, data.sop_instance_uid, other, "olivia", "the wrong exam")
    assert await _told(database, left) == (2, [2])
    assert await _told(database, other) == (1, [])


async def test_unlinking_an_image_does_too(database: Database, exams: tuple[str, str]) -> None:
    data = await _registered(database, exams[0])
    async with database.transaction() as session:
        await correct.unlink(session, data.sop_instance_uid, "olivia", "the wrong exam")
    assert await _told(database, exams[0]) == (2, [2])


async def test_images_that_were_deleted_do_once_for_each_exam(
    system: System, database: Database, exams: tuple[str, str]
) -> None:
    images_of = [await _registered(database, exam) for exam in (*exams, exams[0])]
    waiting = given.image()
    await given.take(database, waiting)
    ids = [data.orthanc_instance_id for data in (*images_of, waiting)]
    async with contextlib.aclosing(Orthanc(accounts.orthanc(system, "registration"))) as orthanc:
        await settle_vanished(database, orthanc, ids)
    for exam in exams:
        assert await _told(database, exam) == (2, [2])
    async with database.transaction() as session:
        for data in (*images_of, waiting):
            assert (await session.get_one(LedgerEntry, data.orthanc_instance_id)).state == "deleted"


async def test_what_is_undone_is_not_told(database: Database, exams: tuple[str, str]) -> None:
    data = await _registered(database, exams[0])
    with contextlib.suppress(ZeroDivisionError):
        async with database.transaction() as session:
            await correct.move(session, data.sop_instance_uid, exams[1], "olivia", "the wrong exam")
            raise ZeroDivisionError
    assert (await rows.record(database, data)).exam_id == exams[0]
    assert await _told(database, exams[0]) == (1, [])


async def test_an_exam_that_is_not_there_is_not_told_of(database: Database) -> None:
    nobodys = given.name()
    async with database.transaction() as session:
        await rights.changed(session, [nobodys])
    assert await rows.said(database, nobodys) == []
