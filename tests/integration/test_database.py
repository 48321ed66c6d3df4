"""What means that PostgreSQL is away, and what does not."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from deploy.local.ports import Ports
from deploy.local.system import System
from services.registration_service.database import Database
from shared.errors import DatabaseAway
from tests.integration import accounts, given, scratch


@contextlib.asynccontextmanager
async def _opened(system: System, name: str, **others: Any) -> AsyncIterator[Database]:
    database = Database(accounts.database(system, name, **others))
    async with contextlib.aclosing(database):
        yield database


async def _run(database: Database, statement: str) -> None:
    async with database.transaction() as session:
        await session.execute(text(statement))


async def test_a_refused_connection_is_away(system: System, tables: str) -> None:
    url = f"postgresql+asyncpg://registration:x@127.0.0.1:{Ports.free().postgres}/examflow"
    async with _opened(system, tables, url=url) as database:
        with pytest.raises(DatabaseAway):
            await _run(database, "SELECT 1")
        with pytest.raises(OSError, match="Connect call failed"):
            await database.answers()


async def test_a_server_that_never_answers_is_away_in_time(system: System, tables: str) -> None:
    # The kernel takes the connection; nobody ever reads from it.
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql+asyncpg://registration:x@127.0.0.1:{server.getsockname()[1]}/examflow"
        async with asyncio.timeout(5), _opened(system, tables, url=url, connect_seconds=0.3) as database:
            with pytest.raises(DatabaseAway):
                await _run(database, "SELECT 1")


async def test_a_server_with_no_connection_left_is_away(system: System, tables: str) -> None:
    await scratch.superuser(system, "CREATE ROLE test_crowded LOGIN PASSWORD 'x' CONNECTION LIMIT 0")
    try:
        url = f"postgresql+asyncpg://test_crowded:x@{system.backing.postgres}/{tables}"
        async with _opened(system, tables, url=url) as database:
            with pytest.raises(DatabaseAway):
                await _run(database, "SELECT 1")
    finally:
        await scratch.superuser(system, "DROP ROLE test_crowded")


async def test_a_statement_over_its_time_is_away(system: System, tables: str) -> None:
    async with _opened(system, tables, statement_seconds=0.2) as database:
        with pytest.raises(DatabaseAway):
            await _run(database, "SELECT pg_sleep(20)")
        await _run(database, "SELECT 1")


async def test_a_lock_that_is_not_given_in_time_is_away(system: System, tables: str) -> None:
    async with _opened(system, tables, lock_seconds=0.2) as database, database.transaction() as holder:
        await holder.execute(text("SELECT pg_advisory_xact_lock(815)"))
        with pytest.raises(DatabaseAway):
            await _run(database, "SELECT pg_advisory_xact_lock(815)")


async def test_a_deadlock_ends_one_of_two_as_away(database: Database) -> None:
    both_hold = asyncio.Barrier(2)

    async def lock(first: int, second: int) -> None:
        async with database.transaction() as session:
            await session.execute(text(f"SELECT pg_advisory_xact_lock({first})"))
            await both_hold.wait()
            await session.execute(text(f"SELECT pg_advisory_xact_lock({second})"))

    outcomes = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {type(None), DatabaseAway}


async def test_no_free_connection_in_the_pool_is_away(system: System, tables: str) -> None:
    async with (
        _opened(system, tables, connections=1, connection_wait_seconds=0.2) as database,
        database.transaction() as holder,
    ):
        await holder.execute(text("SELECT 1"))
        with pytest.raises(DatabaseAway):
            await _run(database, "SELECT 1")


async def test_a_connection_cut_by_the_server_is_away_and_the_next_is_good(
    system: System, tables: str, database: Database
) -> None:
    async def cut() -> None:
        async with database.transaction() as session:
            pid = await session.scalar(text("SELECT pg_backend_pid()"))
            await scratch.superuser(system, f"SELECT pg_terminate_backend({pid}, 5000)")
            await session.execute(text("SELECT 1"))

    with pytest.raises(DatabaseAway):
        await cut()
    await _run(database, "SELECT 1")


async def test_a_unique_violation_is_not_away(database: Database) -> None:
    insert = f"INSERT INTO examens_medicaux (\"examenID\", version) VALUES ('{given.name()}', 1)"
    await _run(database, insert)
    with pytest.raises(IntegrityError):
        await _run(database, insert)


async def test_a_wrong_statement_is_not_away(database: Database) -> None:
    with pytest.raises(DBAPIError):
        await _run(database, "SELECT nonsense")


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 2**63},
        {"acquisition_date": datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12)))},
        {"sop_class_uid": "1" * 256},
        {"sop_class_uid": "\0"},
    ],
    ids=["size", "date", "length", "NUL"],
)
async def test_a_value_that_no_column_takes_is_not_away(database: Database, changes: dict[str, Any]) -> None:
    """Else its message would be held for ever: no attempt would ever be counted."""
    with pytest.raises(Exception) as failed:  # noqa: PT011  # whatever it is but one
        await given.take(database, given.image(**changes))
    assert not isinstance(failed.value, DatabaseAway)


async def test_what_is_raised_inside_is_raised_as_it_is_and_undone(database: Database, system: System) -> None:
    exam = given.name()

    async def fail() -> None:
        async with database.transaction() as session:
            await session.execute(text(f"INSERT INTO examens_medicaux (\"examenID\", version) VALUES ('{exam}', 1)"))
            raise KeyError(exam)

    with pytest.raises(KeyError, match=exam):
        await fail()
    async with database.transaction() as session:
        found = await session.scalar(text(f"SELECT count(*) FROM examens_medicaux WHERE \"examenID\" = '{exam}'"))
    assert found == 0


async def test_sessions_carry_the_limits_and_the_name(database: Database) -> None:
    async with database.transaction() as session:
        row = await session.execute(
            text(
                "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),"
                " current_setting('application_name'), current_user, now()"
            )
        )
        statement, lock, name, user, now = row.one()
    assert (statement, lock, name, user) == ("10s", "5s", "examflow-registration", "registration")
    assert now.tzinfo is UTC or now.utcoffset() == timedelta(0)


async def test_readiness_finds_the_tables(system: System, database: Database) -> None:
    await database.answers()
    async with _opened(system, "postgres") as elsewhere:
        with pytest.raises(DBAPIError, match="alembic_version"):
            await elsewhere.answers()


async def test_a_failed_statement_does_not_tell_its_values(database: Database) -> None:
    """Its error ends in a log line, and a description may name the patient."""
    with pytest.raises(DBAPIError) as failed:
        async with database.transaction() as session:
            await session.execute(text("SELECT 1 / 0 WHERE CAST(:said AS text) <> ''"), {"said": "DOE^JANE"})
    assert "division by zero" in str(failed.value)
    assert "DOE^JANE" not in str(failed.value)
