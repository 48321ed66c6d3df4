"""Lists of an exam's images, page by page, and moving an image."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from services.registration_service import images
from services.registration_service.database import Database
from shared.errors import ExamUnknown, ImageUnknown, InvalidInput
from shared.permission import Caller
from tests.integration import given, rows


async def _pages(database: Database, exam: str, limit: int) -> list[list[str]]:
    """The ids of each page, following the cursors."""
    pages, cursor = [], None
    while True:
        async with database.transaction() as session:
            found, cursor = await images.page(session, exam, limit, cursor)
        pages.append([image.image_id for image in found])
        if cursor is None:
            return pages


async def _exam_with(database: Database, dates: list[datetime]) -> tuple[str, list[str]]:
    """An exam, and the ids of its images, one for each date, in order of their making."""
    exam = given.name()
    await given.open_exam(database, exam, "user:alice")
    made = []
    for date in dates:
        data = given.image(exam=exam, acquisition_date=date)
        await given.take(database, data)
        made.append((await rows.record(database, data)).image_id)
    return exam, made


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
async def test_pages_are_complete_newest_first_where_dates_are_equal(database: Database, limit: int) -> None:
    day = datetime(2024, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
    exam, (b1, a1, b2, c1, b3, b4, b5) = await _exam_with(
        database, [day, day - timedelta(days=1), day, day + timedelta(microseconds=1), day, day, day]
    )
    pages = await _pages(database, exam, limit)
    assert list(itertools.chain(*pages)) == [c1, *sorted([b1, b2, b3, b4, b5], reverse=True), a1]
    assert all(len(page) == limit for page in pages[:-1])
    assert 1 <= len(pages[-1]) <= limit


async def test_an_exam_without_images_has_one_empty_page(database: Database) -> None:
    exam, _ = await _exam_with(database, [])
    assert await _pages(database, exam, 50) == [[]]


async def test_an_image_added_while_paging_repeats_and_hides_none(database: Database) -> None:
    exam, (old, new) = await _exam_with(database, [datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)])
    async with database.transaction() as session:
        first, cursor = await images.page(session, exam, 1, None)
    await given.take(database, given.image(exam=exam, acquisition_date=datetime(2022, 1, 1, tzinfo=UTC)))
    async with database.transaction() as session:
        second, end = await images.page(session, exam, 1, cursor)
    assert [image.image_id for image in (*first, *second)] == [new, old]
    assert end is None


@pytest.mark.parametrize(
    "cursor", ["", "x", "é", "W10=", "WyIyMDIwLTAxLTAxIiwgImEiXQ==", "WzEsIDJd", "eyJhIjogMX0=", "////", "\ud800"]
)
async def test_a_cursor_of_ones_own_is_refused(database: Database, cursor: str) -> None:
    async with database.transaction() as session:
        with pytest.raises(InvalidInput) as refused:
            await images.page(session, "EX", 50, cursor)
    assert [error.field for error in refused.value.errors] == ["cursor"]


async def test_exam_and_image_are_seen_by_principals_alone(database: Database) -> None:
    exam, [image_id] = await _exam_with(database, [given.TAKEN_AT])
    async with database.transaction() as session:
        for caller in (given.ALICE, given.OVERSEER):
            assert (await images.seen_exam(session, caller, exam)).exam_id == exam
            assert (await images.seen_image(session, caller, image_id)).exam_id == exam
        with pytest.raises(ExamUnknown):
            await images.seen_exam(session, Caller("mallory"), exam)
        with pytest.raises(ImageUnknown):
            await images.seen_image(session, Caller("mallory"), image_id)


async def test_moving_an_image_is_told_and_audited(database: Database) -> None:
    left, other = given.name(), given.name()
    for exam in (left, other):
        await given.open_exam(database, exam, "user:alice")
    data = given.image(exam=left)
    await given.take(database, data)
    image_id = (await rows.record(database, data)).image_id
    for _ in range(2):  # the second time there is nothing to move
        async with database.transaction() as session:
            image = await images.seen_image(session, given.OVERSEER, image_id)
            await images.move(session, image, other, given.OVERSEER.sub)
    assert (await rows.record(database, data)).exam_id == other
    moved = [said for key, said in await rows.said(database, data.orthanc_instance_id) if key == "image.moved"]
    assert moved == [
        {
            "imageID": image_id,
            "sopInstanceUID": data.sop_instance_uid,
            "orthancInstanceId": data.orthanc_instance_id,
            "fromExamenID": left,
            "toExamenID": other,
        }
    ]
    assert await rows.audited(database, exam_id=left, action="image.move") == [("olga", "image.move", "moved-away")]
    assert await rows.audited(database, exam_id=other, action="image.move") == [("olga", "image.move", "moved-here")]


async def test_a_moved_image_stays_where_it_was_moved_when_its_event_comes_again(database: Database) -> None:
    left, other = given.name(), given.name()
    for exam in (left, other):
        await given.open_exam(database, exam, "user:alice")
    data = given.image(exam=left)
    await given.take(database, data)
    async with database.transaction() as session:
        image = await session.merge(await rows.record(database, data))
        await images.move(session, image, other, "olga")
    assert (await given.take(database, data)).state == "registered"
    assert (await rows.record(database, data)).exam_id == other
