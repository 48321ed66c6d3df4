"""Audit records of many messages in few transactions: each is committed before its message is done with."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service.database import Database
from services.registration_service.group_commit import GroupCommit
from shared.errors import DatabaseAway
from shared.events import AuditRecord
from tests.integration import given, rows

TRANSACTIONS = "examflow_audit_committed_records_count"


def _record(subject: str, action: str = "image.view") -> AuditRecord:
    return AuditRecord(actor="alice", action=action, outcome="done", subject=subject)


def _records(subject: str, number: int) -> list[AuditRecord]:
    return [_record(subject) for _ in range(number)]


def _refused(subject: str) -> AuditRecord:
    """One that the table does not take: no service makes such a one."""
    return _record(subject).model_copy(update={"action": "x" * 65})


def _transactions() -> float:
    return REGISTRY.get_sample_value(TRANSACTIONS) or 0.0


async def _kept(database: Database, subject: str) -> int:
    return len(await rows.audited(database, subject=subject))


async def test_what_comes_at_once_is_committed_together(database: Database) -> None:
    group, subject, before = GroupCommit(database, 1000), given.name(), _transactions()
    await asyncio.gather(*(group.add(_records(subject, 3), f"service-{n % 2}") for n in range(20)))
    assert await _kept(database, subject) == 20 * 3
    assert _transactions() - before == 2  # the first alone, then all that came meanwhile


async def test_what_nobody_waits_for_goes_with_what_somebody_waits_for(database: Database) -> None:
    group, subject, before = GroupCommit(database, 1000, 600.0), given.name(), _transactions()
    async with asyncio.timeout(30):
        adding = [asyncio.create_task(group.add([_record(subject)], "preview", waited_for=False)) for _ in range(5)]
        await asyncio.sleep(0.1)
        assert (await _kept(database, subject), _transactions()) == (0, before)
        await group.add([_record(subject)], "registration")
        await asyncio.gather(*adding)
    assert (await _kept(database, subject), _transactions() - before) == (6, 1)


async def test_what_nobody_waits_for_waits_for_others_and_no_longer(database: Database) -> None:
    group, subject, before = GroupCommit(database, 1000, 0.2), given.name(), _transactions()
    async with asyncio.timeout(30):
        await asyncio.gather(*(group.add([_record(subject)], "preview", waited_for=False) for _ in range(5)))
    assert (await _kept(database, subject), _transactions() - before) == (5, 1)


async def test_one_transaction_has_so_many_records_and_no_more(database: Database) -> None:
    group, subject, before = GroupCommit(database, 10), given.name(), _transactions()
    await asyncio.gather(*(group.add(_records(subject, 5), "preview") for _ in range(9)))
    assert await _kept(database, subject) == 9 * 5
    assert _transactions() - before == 5


async def test_what_is_refused_is_nobody_elses_trouble(database: Database) -> None:
    group, subject = GroupCommit(database, 1000), given.name()
    adding = [group.add([_record(subject)], "preview") for _ in range(5)]
    adding[2:2] = [group.add([_refused(subject), _record(subject)], "preview")]
    found = await asyncio.gather(*adding, return_exceptions=True)
    assert [type(one) for one in found if one is not None] == [type(found[2])]
    assert isinstance(found[2], DBAPIError)
    assert await _kept(database, subject) == 5


class _Slow(Database):
    """Waits in its first transaction, after the work and before the commit."""

    def __init__(self, whole: Database) -> None:
        self._whole = whole
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self.fails: Callable[[], Exception] | None = None

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        async with self._whole.transaction() as session:
            yield session
            self.reached.set()
            await self.go_on.wait()
            if self.fails:
                raise self.fails()


async def test_who_leaves_takes_nothing_from_the_others(database: Database) -> None:
    slow, subject = _Slow(database), given.name()
    group = GroupCommit(slow, 1000)
    others = [given.name() for _ in range(3)]
    first = asyncio.create_task(group.add([_record(subject)], "preview"))
    await slow.reached.wait()
    following = [asyncio.create_task(group.add([_record(one)], "preview")) for one in others]
    first.cancel()
    await asyncio.sleep(0)
    slow.go_on.set()
    await asyncio.gather(*following)
    assert [await _kept(database, one) for one in (subject, *others)] == [0, 1, 1, 1]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_while_the_database_is_away_everybody_is_told(database: Database) -> None:
    slow, subject = _Slow(database), given.name()
    slow.fails = DatabaseAway
    slow.go_on.set()
    group = GroupCommit(slow, 1000)
    found = await asyncio.gather(*(group.add([_record(subject)], "preview") for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [DatabaseAway] * 3
    slow.fails = None
    await group.add([_record(subject)], "preview")
    assert await _kept(database, subject) == 1
