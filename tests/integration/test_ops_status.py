"""The status, counted on a database of its own and asked of the real servers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, update

from deploy.local.system import System
from services.registration_service.models import LedgerEntry, OutboxMessage, PausedConsumer, ReconcilerCursor
from services.registration_service.ops.desk import Desk
from services.registration_service.ops.queues import counted, every_queue
from services.registration_service.ops.status import count_queues, read_status
from shared.events import DicomStored
from tests.integration import desks, given
from tests.integration.reconciling import own_database

STORED = "registration.dicom-stored"


@pytest.fixture(scope="module")
def own_tables(system: System) -> Iterator[str]:
    yield from own_database_name(system)


def own_database_name(system: System) -> Iterator[str]:
    with own_database(system, "status") as name:
        yield name


@pytest.fixture
async def desk(system: System, own_tables: str) -> AsyncIterator[Desk]:
    async with desks.opened(system, own_tables) as desk:
        yield desk


async def _age(desk: Desk, data: DicomStored, **values: Any) -> None:
    async with desk.database.transaction() as session:
        mine = LedgerEntry.orthanc_id == data.orthanc_instance_id
        await session.execute(update(LedgerEntry).where(mine).values(**values))


async def test_what_the_database_tells(desk: Desk) -> None:
    long_ago = func.now() - timedelta(hours=2)
    exam = given.name()
    images = [given.image(exam=exam) for _ in range(4)] + [given.image(), given.image(), given.image()]
    for data in images:
        await given.take(desk.database, data)
    await _age(desk, images[0], decided_at=long_ago)
    await _age(desk, images[1], decided_at=None, first_seen=long_ago)  # from before `decided_at` was kept
    await _age(desk, images[5], state="seen", code=None, reason=None, first_seen=long_ago)
    refused = [given.image() for _ in range(3)]
    for data in refused:
        await given.take(desk.database, data)
        await _age(desk, data, state="refused", code="sop_uid_in_use", reason="another image")
    await _age(desk, refused[0], decided_at=func.now() - timedelta(days=2))
    async with desk.database.transaction() as session:
        await session.execute(insert(ReconcilerCursor).values(id=1, seq=10**9, last_full_compare=func.now()))
        session.add(PausedConsumer(queue=STORED, actor="olivia", reason="a bug"))
        session.add(OutboxMessage(event_id="1", routing_key="x", body="{}", written_at=long_ago))
    status = await read_status(desk)
    found = status.ledger
    assert found is not None
    assert status.unaccounted == 1
    assert found.states == {"seen": 1, "waiting": 6, "registered": 0, "refused": 3, "dead": 0, "deleted": 0}
    assert (found.waitingLong, found.refusedLately, found.undecidedLate) == (2, 2, 1)
    assert found.oldestUndecided is not None
    assert [(one.cause, one.count) for one in found.causes] == [
        (f"exam-unknown:{exam}", 4),
        ("sop_uid_in_use", 3),
        ("no-exam-named", 2),
    ]
    assert found.causes[0].reason == f"exam {exam} is not open yet"
    assert found.outbox > 1
    assert [(one.queue, one.pausedBy, one.reason) for one in found.paused] == [(STORED, "olivia", "a bug")]
    assert found.paused[0].messages is not None
    assert (found.reconciler.cursor, found.reconciler.alarm) == (10**9, False)


async def test_all_queues_are_counted_and_nobody_waits_at_the_rungs(desk: Desk) -> None:
    found = (await read_status(desk)).queues
    assert found is not None
    assert [one.queue for one in found] == [
        *(STORED, *(f"{STORED}.retry-{n}" for n in (1, 2, 3))),
        *("registration.exam-upserted", *(f"registration.exam-upserted.retry-{n}" for n in (1, 2, 3))),
        *("registration.audit-recorded", *(f"registration.audit-recorded.retry-{n}" for n in (1, 2, 3))),
        "registration.dead",
    ]
    assert all(one.messages is not None for one in found)
    assert [one.queue for one in found if one.consumers] == [
        STORED,
        "registration.exam-upserted",
        "registration.audit-recorded",
    ]


async def test_a_queue_that_is_not_there_is_said_and_the_others_are_counted(desk: Desk) -> None:
    missing, there = await counted(desk.broker, ["registration.no-such", STORED])
    assert (missing.messages, missing.consumers) == (None, None)
    assert there.messages is not None


@pytest.mark.parametrize(
    ("away", "name"), [("postgresql", "PostgreSQL"), ("rabbitmq", "RabbitMQ"), ("orthanc", "Orthanc")]
)
async def test_with_one_server_away_the_others_are_told(system: System, own_tables: str, away: str, name: str) -> None:
    async with desks.opened(system, own_tables, away=away) as desk:
        found = await read_status(desk)
    assert found.verdict == "cannot-tell"
    assert f"no answer from {name}" in found.says
    assert {server for server, said in found.answers.items() if said != "ok"} == {name}
    assert (found.ledger is None) == (away == "postgresql")
    assert (found.queues is None) == (away == "rabbitmq")
    assert (found.unaccounted is None) == (away in ("postgresql", "orthanc"))


async def test_a_server_that_never_answers_holds_nobody_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(desk.settings.status, "answer_seconds", 0.2)
    monkeypatch.setattr("services.registration_service.ops.queues.counted", never)
    async with asyncio.timeout(5):
        found = await read_status(desk)
        assert await count_queues(desk, every_queue(desk.settings.messages)) is None
    assert found.answers["RabbitMQ"] == "no answer within 0.2 s"
