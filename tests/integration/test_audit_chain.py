"""The audit chain in the real database: sealed in order, and whatever its superuser does to it is found."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from deploy.local.system import System
from services.registration_service import audit
from services.registration_service.database import Database
from services.registration_service.models import AuditEvent
from services.registration_service.settings import TrailSettings
from services.registration_service.trail import reading
from services.registration_service.trail.anchoring import Anchoring, read_anchors
from services.registration_service.trail.pruning import Pruning
from services.registration_service.trail.sealing import Sealing, seal
from shared.audit_chain import Anchor, Verification, Wrong
from shared.events import AuditRecord
from tests.integration import accounts, scratch

ALTERED = "was altered, or swapped with another"


@pytest.fixture(scope="module")
def template(system: System) -> Iterator[str]:
    name = f"test_chain_{os.getpid()}"
    scratch.make(system, name)
    scratch.alembic(system, name, "upgrade", "head")
    yield name
    scratch.drop(system, name)


@pytest.fixture
def own(system: System, template: str) -> Iterator[str]:
    """A database of one test's own, with an empty trail."""
    name = f"{template}_own"
    scratch.copy(system, template, name)
    yield name
    scratch.drop(system, name)


@pytest.fixture
async def trail(system: System, own: str) -> AsyncIterator[Database]:
    database = Database(accounts.database(system, own))
    yield database
    await database.aclose()


async def _tell(database: Database, number: int, actor: str = "alice") -> None:
    async with database.transaction() as session:
        record = AuditRecord(record_id=f"r{number}", actor=actor, action="image.view", outcome="done")
        await audit.told(session, [record], "preview")


async def _ten(database: Database) -> None:
    for number in range(1, 11):
        await _tell(database, number)
    await Sealing(database, 4).seal_all()


async def _verdict(database: Database, anchors: Sequence[Anchor] = ()) -> Wrong | None:
    async with database.transaction() as session:
        verification = Verification(anchors, await reading.last_pruning(session))
        for link in await reading.links(session, verification.head.seq, 1000):
            verification.read(link)
    return verification.finish()


async def _seqs(database: Database) -> list[int]:
    async with database.transaction() as session:
        return [link.place.seq for link in await reading.links(session, 0, 1000)]


async def test_every_record_is_sealed_once_and_the_chain_is_sound(trail: Database) -> None:
    await asyncio.gather(*(_tell(trail, number) for number in range(30)))
    await asyncio.gather(*(Sealing(trail, 7).seal_all() for _ in range(4)))
    await Sealing(trail, 7).seal_all()
    assert await _seqs(trail) == list(range(1, 31))
    assert await _verdict(trail) is None
    async with trail.transaction() as session:
        assert await reading.unsealed(session) == 0
        assert await reading.outside(session) == []


async def test_a_record_that_comes_twice_stands_once(trail: Database) -> None:
    await _tell(trail, 1)
    await _tell(trail, 1)
    await Sealing(trail, 10).seal_all()
    assert await _seqs(trail) == [1]


async def test_what_is_rolled_back_leaves_nothing_to_seal(trail: Database) -> None:
    async def crash() -> None:
        async with trail.transaction() as session:
            audit.append(session, actor="alice", action="x", outcome="y")
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await crash()
    async with trail.transaction() as session:
        assert await reading.unsealed(session) == 0


EDIT = "UPDATE audit_events SET actor = 'nobody' WHERE record_id = 'r4'"
GONE = "DELETE FROM audit_events WHERE record_id = 'r4'"
GONE_WITH_LINK = f"""
    WITH gone AS ({GONE} RETURNING id) DELETE FROM audit_chain USING gone WHERE event_id = gone.id
"""
BACKDATED = "UPDATE audit_chain SET sealed_at = sealed_at - interval '1 day' WHERE seq = 4"


@pytest.mark.parametrize(
    ("deed", "found"),
    [
        (EDIT, Wrong(4, ALTERED)),
        (BACKDATED, Wrong(4, ALTERED)),
        (GONE, Wrong(4, "is missing: its place stands in the chain, and the record is gone")),
        (GONE_WITH_LINK, Wrong(4, "is missing")),
    ],
    ids=["edited", "backdated", "deleted", "deleted with its link"],
)
async def test_what_a_superuser_does_is_found(
    system: System, own: str, trail: Database, deed: str, found: Wrong
) -> None:
    await _ten(trail)
    assert await _verdict(trail) is None
    await scratch.as_superuser(system, own, deed)
    assert await _verdict(trail) == found


async def test_two_swapped_records_are_found(system: System, own: str, trail: Database) -> None:
    await _ten(trail)
    ids = dict(await scratch.as_superuser(system, own, "SELECT seq, event_id FROM audit_chain"))
    for seq, event in ((4, -1), (6, ids[4]), (4, ids[6])):
        await scratch.as_superuser(
            system, own, "UPDATE audit_chain SET event_id = :event WHERE seq = :seq", event=event, seq=seq
        )
    assert await _verdict(trail) == Wrong(4, ALTERED)


async def test_a_cut_off_end_and_a_chain_made_anew_are_found_by_the_anchors(
    system: System, own: str, trail: Database, tmp_path: os.PathLike[str]
) -> None:
    await _ten(trail)
    file = tmp_path / "anchors.jsonl"  # type: ignore[operator]
    await Anchoring(trail, TrailSettings(anchors=file)).anchor()
    [anchor] = read_anchors(file)
    assert anchor.place.seq == 10
    assert await _verdict(trail, [anchor]) is None
    await scratch.as_superuser(system, own, "DELETE FROM audit_chain WHERE seq > 8")
    await scratch.as_superuser(system, own, "DELETE FROM audit_events WHERE record_id IN ('r9', 'r10')")
    assert await _verdict(trail) is None
    wrong = await _verdict(trail, [anchor])
    assert wrong is not None
    assert wrong.seq == 9
    await _tell(trail, 11, "mallory")
    await _tell(trail, 12, "mallory")
    await Sealing(trail, 10).seal_all()
    assert await _verdict(trail) is None
    wrong = await _verdict(trail, [anchor])
    assert wrong is not None
    assert "was rewritten since" in wrong.what


async def test_a_record_that_was_kept_from_the_chain_is_shown(system: System, own: str, trail: Database) -> None:
    await _ten(trail)
    await scratch.as_superuser(system, own, "ALTER TABLE audit_events DISABLE TRIGGER audit_note_unsealed")
    await _tell(trail, 11)
    await Sealing(trail, 10).seal_all()
    await scratch.as_superuser(
        system, own, "UPDATE audit_events SET recorded_at = now() - interval '2 minutes' WHERE record_id = 'r11'"
    )
    async with trail.transaction() as session:
        assert await reading.outside(session) == ["r11"]


async def _old(database: Database, days: int, *numbers: int) -> None:
    """Records that were sealed so many days ago."""
    for number in numbers:
        await _tell(database, number)
    async with database.transaction() as session:
        names = [f"r{number}" for number in numbers]
        found = await session.scalars(select(AuditEvent).where(AuditEvent.record_id.in_(names)).order_by(AuditEvent.id))
        await seal(session, found.all(), datetime.now(UTC) - timedelta(days=days))


async def test_what_is_older_than_the_retention_goes_and_the_rest_stays_sound(trail: Database) -> None:
    await _old(trail, 400, 1, 2, 3, 4, 5)
    await _old(trail, 100, 6, 7)
    for _ in range(2):  # the second time there is nothing to do
        await Pruning(trail, 2).prune()
        await Sealing(trail, 10).seal_all()
    seqs = await _seqs(trail)
    assert seqs[:2] == [6, 7]
    assert len(seqs) == 2 + 3  # three batches, of which each left its record
    assert await _verdict(trail) is None
    async with trail.transaction() as session:
        names = await session.scalars(select(AuditEvent.record_id).where(AuditEvent.record_id.in_(["r1", "r5", "r6"])))
        assert names.all() == ["r6"]


async def test_the_last_place_stays_however_old_it_is(trail: Database) -> None:
    await _old(trail, 400, 1, 2, 3)
    await Pruning(trail, 100).prune()
    assert await _seqs(trail) == [3]


async def test_the_service_can_prune_nothing_that_is_younger(system: System, own: str, trail: Database) -> None:
    await _ten(trail)
    await Pruning(trail, 100).prune()
    assert await _seqs(trail) == list(range(1, 11))
    for command in (
        "UPDATE audit_retention SET days = 30",
        "DELETE FROM audit_chain",
        "UPDATE audit_chain SET hash = ''",
        "INSERT INTO audit_prunings (to_seq, hash, days, records) VALUES (1, '', 1, 1)",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "DROP FUNCTION audit_prune(integer)",
    ):
        with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
            async with trail.transaction() as session:
                await session.execute(text(command))
    with pytest.raises(DBAPIError, match="ck_audit_retention_days"):
        await scratch.as_superuser(system, own, "UPDATE audit_retention SET days = 29")


async def test_the_retention_is_set_by_the_migrations(
    system: System, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXAMFLOW_AUDIT_RETENTION_DAYS", "90")
    scratch.alembic(system, own, "upgrade", "head")
    assert await scratch.fetch(system, own, "SELECT days FROM audit_retention") == [(90,)]


async def test_records_from_before_the_chain_are_sealed_first(system: System, own: str, trail: Database) -> None:
    await trail.aclose()
    scratch.alembic(system, own, "downgrade", "0005")
    insert = "INSERT INTO audit_events (actor, action, outcome) VALUES ('alice', 'old', 'done') RETURNING id"
    await scratch.fetch(system, own, insert)
    scratch.alembic(system, own, "upgrade", "head")
    await _tell(trail, 1)
    await Sealing(trail, 10).seal_all()
    async with trail.transaction() as session:
        records = [link.record for link in await reading.links(session, 0, 10)]
    assert [record["action"] for record in records if record] == ["old", "image.view"]
