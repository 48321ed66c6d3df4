"""Locks in PostgreSQL that the lab holds, and who stands before them."""

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from deploy.local.system import System
from services.registration_service.cursor import _LEADER_LOCK
from tests.chaos.stores import Tables
from tests.integration import accounts


@contextlib.contextmanager
def held(direct: System, query: str) -> Iterator[None]:
    """What this query locks stays locked meanwhile, in a transaction that is rolled back."""
    engine = create_async_engine(accounts.database_url(direct, "examflow", "examflow"), poolclass=NullPool)
    loop = asyncio.new_event_loop()
    with contextlib.closing(loop), ThreadPoolExecutor(1) as thread:  # pytest-asyncio may hold this one's loop
        connection = thread.submit(loop.run_until_complete, _locked(engine, query)).result(timeout=60)
        try:
            yield
        finally:
            thread.submit(loop.run_until_complete, connection.close()).result(timeout=60)


async def _locked(engine: AsyncEngine, query: str) -> AsyncConnection:
    connection = await engine.connect()
    await connection.execute(text(query))
    return connection


def leaders(tables: Tables, *, waiting: bool = False) -> set[int]:
    """The server process of the reconciler that leads in a transaction right now (and waits for a lock in it)."""
    query = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = :leader AND granted"
    if waiting:
        query += " AND pid IN (SELECT pid FROM pg_locks WHERE NOT granted)"
    return {pid for (pid,) in tables.ask(query, leader=_LEADER_LOCK)}


def waiting(tables: Tables) -> int:
    """How many transactions stand before a locked table."""
    return int(tables.ask("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'")[0][0])
