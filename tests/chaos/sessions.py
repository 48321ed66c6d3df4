"""What a session of the database's owner does to registration: locks that it holds, triggers that it makes."""

import contextlib
import uuid
from collections.abc import Iterator

from sqlalchemy import NullPool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from tests.chaos.lab import Lab
from tests.integration.accounts import database_url
from tests.running import eventually

# The table that a registration writes to last: who waits for it has written all else, and not committed.
BEFORE_COMMIT = "LOCK TABLE outbox IN SHARE MODE"
OUTBOX_SENDER = "SELECT pg_advisory_xact_lock(x'6F757462'::int)"  # who sends the outbox has this lock


@contextlib.contextmanager
def held(lab: Lab, statement: str) -> Iterator[None]:
    """Meanwhile a transaction is open that said this; it ends with the block, or with PostgreSQL."""
    connection = lab.background.run(_begun(lab, statement))
    try:
        yield
    finally:
        lab.background.run(_end(connection))


async def _begun(lab: Lab, statement: str) -> AsyncConnection:
    url = database_url(lab.setup.direct, "examflow", "examflow")
    connection = await create_async_engine(url, poolclass=NullPool).connect()
    await connection.execute(text(statement))
    return connection


async def _end(connection: AsyncConnection) -> None:
    with contextlib.suppress(DBAPIError, OSError):  # PostgreSQL was killed
        await connection.close()


def blocked(lab: Lab) -> int:
    """How many transactions wait for a lock."""
    return int(lab.tables.ask("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")[0][0])


def have_come(lab: Lab, transactions: int) -> None:
    """Wait until so many of them stand before the lock; they give up and come again all the time."""
    eventually(lambda: blocked(lab) >= transactions, 20, f"{transactions} transactions before the lock")


@contextlib.contextmanager
def trigger(lab: Lab, table: str, body: str, when: str = "true") -> Iterator[None]:
    """Meanwhile PostgreSQL does this before each row `when` it is inserted."""
    name = f"lab_{uuid.uuid4().hex[:12]}"
    lab.tables.ask(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body}; RETURN NEW; END$$")
    made = f"CREATE TRIGGER {name} BEFORE INSERT ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()"
    lab.tables.ask(made)
    try:
        yield
    finally:
        # Harmless at once: its end waits for every transaction on the table.
        harmless = f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
        lab.tables.ask(harmless + "$$BEGIN RETURN NEW; END$$")
        lab.tables.ask(f"DROP FUNCTION {name} CASCADE")
