"""What would become of events: the decisions are the real ones, and nothing of them stays."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel
from sqlalchemy import text

from deploy.local.system import System
from services.registration_service.consumers import EXAM_QUEUE
from services.registration_service.database import Database
from services.registration_service.ops.outcomes import Outcome
from services.registration_service.ops.trial import Said
from shared.errors import DatabaseAway
from shared.events import Context, DicomStored, Event, ExamUpserted
from tests.integration import given, letters, rows, scratch
from tests.integration.letters import ALL, Desk

TABLES = ("intake_ledger", "images_medicales", "examens_medicaux", "outbox", "audit_events")


@pytest.fixture
async def desk(
    system: System, admin: AbstractChannel, database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    async with letters.opened(system, admin, database, monkeypatch) as desk:
        yield desk


async def everything(database: Database) -> dict[str, Any]:
    """All rows of all tables."""
    async with database.transaction() as session:
        return {
            table: sorted(map(str, (await session.execute(text(f'SELECT t::text FROM "{table}" t'))).all()))
            for table in TABLES
        }


def stored(desk: Desk, data: DicomStored, publisher: str = "upload") -> Said:
    return Said(desk.work.name, given.event(data).model_dump_json(by_alias=True).encode(), None, publisher)


def upserted(exam: str, **fields: Any) -> Said:
    data = ExamUpserted(examen_id=exam, **({"version": 1} | fields))
    event = Event.about(data, source="/partner/his", subject=exam, correlation_id=None)
    return Said(EXAM_QUEUE, event.model_dump_json(by_alias=True).encode(), None, "his")


async def foresee(desk: Desk, *messages: Said) -> list[Outcome]:
    """The outcomes, with the proof that nothing changed."""
    before = await everything(desk.database)
    outcomes = await desk.trial.foresee(messages)
    assert await everything(desk.database) == before
    return [outcomes[number] for number in range(len(messages))]


async def test_what_becomes_of_images(desk: Desk) -> None:
    exam, other = given.name(), given.name()
    await given.open_exam(desk.database, exam, "user:alice")
    await given.open_exam(desk.database, other, "user:alice")
    known = given.image(exam=exam)
    await given.take(desk.database, known)
    unopened = given.name()
    found = await foresee(
        desk,
        stored(desk, given.image(exam=exam)),
        stored(desk, known),
        stored(desk, given.image(exam=unopened)),
        stored(desk, given.image("bob", exam=exam)),
        stored(desk, known.model_copy(update={"context": Context(examen_id=other)})),
        stored(desk, given.image(exam=exam, sop_instance_uid=known.sop_instance_uid)),
    )
    assert [(one.result, one.code) for one in found] == [
        ("create", "registered"),
        ("skip", "registered-already"),
        ("wait", "exam-unknown"),
        ("wait", "not-a-principal"),
        ("refuse", "registered-elsewhere"),
        ("refuse", "sop_uid_in_use"),
    ]
    assert found[2].reason == f"exam {unopened} is not open yet"
    assert found[4].field == "data.context.examenID"


async def test_what_becomes_of_exams(desk: Desk) -> None:
    known, new = given.name(), given.name()
    await given.open_exam(desk.database, known, version=5)
    waiting = given.image(exam=new)
    await given.take(desk.database, waiting)
    found = await foresee(desk, upserted(new), upserted(known, version=6), upserted(known, version=5))
    assert [(one.result, one.code) for one in found] == [
        ("create", "exam-opened"),
        ("change", "exam-replaced"),
        ("skip", "version-not-newer"),
    ]


async def test_what_cannot_be_read_names_the_field_and_no_value(desk: Desk) -> None:
    body = stored(desk, given.image()).body.replace(b'"size":4711', b'"size":"ATIENT^P"')
    found = await foresee(desk, Said(desk.work.name, body, None, "upload"), Said("", b"{}", None, "upload"))
    assert [(one.result, one.code, one.field) for one in found] == [
        ("fail", "unreadable", "data.size"),
        ("fail", "unreadable", None),
    ]
    assert "ATIENT" not in found[0].reason


async def test_a_partners_image_must_be_stored(desk: Desk) -> None:
    [found] = await foresee(desk, stored(desk, given.image(), "partner-a"))
    assert (found.result, found.code, found.field) == ("fail", "not-stored", "data.orthancInstanceId")


@pytest.mark.parametrize("chunk", [1, 50])
async def test_the_second_of_two_for_one_image_is_already_there(desk: Desk, chunk: int) -> None:
    exam = given.name()
    await given.open_exam(desk.database, exam, "user:alice")
    images = [given.image(exam=exam) for _ in range(5)]
    messages = [stored(desk, data) for data in (*images, *images)]
    found = await foresee(desk.with_settings(trial_chunk=chunk), *messages)
    assert Counter(one.result for one in found) == {"create": 5, "skip": 5}
    assert [one.result for one in found[:5]] == ["create"] * 5


@pytest.fixture
async def poison(system: System, tables: str) -> AsyncIterator[DicomStored]:
    """An image at which the database fails as it would at a defect of ours."""
    data = given.image()
    name = f"poison_{data.digest}"
    body = "BEGIN RAISE EXCEPTION 'a defect'; END"
    await scratch.fetch(system, tables, f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
    await scratch.fetch(
        system,
        tables,
        f"CREATE TRIGGER {name} BEFORE INSERT ON intake_ledger FOR EACH ROW"
        f" WHEN (NEW.sop_instance_uid = '{data.sop_instance_uid}') EXECUTE FUNCTION {name}()",
    )
    yield data
    await scratch.fetch(system, tables, f"DROP FUNCTION {name} CASCADE")


async def test_one_that_fails_leaves_the_others_as_they_are(desk: Desk, poison: DicomStored) -> None:
    exam = given.name()
    await given.open_exam(desk.database, exam, "user:alice")
    first, last = given.image(exam=exam), given.image(exam=exam)
    found = await foresee(desk, stored(desk, first), stored(desk, poison), stored(desk, last), stored(desk, first))
    assert [one.result for one in found] == ["create", "fail", "create", "skip"]
    assert found[1].reason == "DBAPIError"  # as its dead letter says


async def test_it_gives_way_to_a_registration(desk: Desk) -> None:
    data = given.image()
    await given.take(desk.database, data)
    async with desk.database.transaction() as session:
        await session.execute(text("SELECT 1 FROM intake_ledger FOR UPDATE"))
        with pytest.raises(DatabaseAway):
            await desk.trial.foresee([stored(desk, data)])


async def test_what_there_is_no_time_for_is_not_told(desk: Desk) -> None:
    messages = [stored(desk, given.image()) for _ in range(5)]
    outcomes = await desk.with_settings(trial_seconds=-1.0, trial_chunk=2).trial.foresee(messages)
    assert len(outcomes) == 2


async def test_a_dry_run_of_letters(desk: Desk) -> None:
    exam = given.name()
    await given.open_exam(desk.database, exam, "user:alice")
    known = given.image(exam=exam)
    await given.take(desk.database, known)
    twice = given.image(exam=exam)
    for data in (twice, twice, known, given.image()):
        await desk.bury(given.event(data))
    await desk.bury(b"{")
    before = await everything(desk.database)
    batch, outcomes = await desk.replay.foresee(ALL)
    assert Counter(one.result for one in outcomes.values()) == {"create": 1, "skip": 2, "wait": 1, "fail": 1}
    assert outcomes.keys() == {one.id for one in (await desk.list()).items}
    assert (batch.unknown, batch.more) == ([], False)
    assert await everything(desk.database) == before
    assert (await desk.count(desk.dead), await desk.count(desk.work)) == (5, 0)
    assert await rows.records(desk.database, twice) == []
