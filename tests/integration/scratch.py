"""Databases for tests alone, beside the one that the services work on."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg

from deploy.local.database import ALEMBIC
from deploy.local.layout import REPO
from deploy.local.system import System
from tests.integration.accounts import database_url


def make(system: System, name: str) -> None:
    """An empty database of the migrations' role."""
    _run(_as_superuser(system, f'CREATE DATABASE "{name}" OWNER examflow'))


def drop(system: System, name: str) -> None:
    _run(_as_superuser(system, f'DROP DATABASE "{name}" WITH (FORCE)'))


def alembic(system: System, name: str, *command: str) -> subprocess.CompletedProcess[str]:
    """One alembic command, as the deployment runs it."""
    url = database_url(system, name, "examflow")
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", str(ALEMBIC), *command],
        cwd=REPO,
        env=dict(os.environ) | {"EXAMFLOW_DATABASE__URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"alembic {' '.join(command)}:\n{done.stdout}{done.stderr}"
    return done


def ask(system: System, name: str, query: str, *values: Any) -> list[asyncpg.Record]:
    """The rows of one query of the owner, for tests that have no event loop."""
    return _run(_fetch(database_url(system, name, "examflow", "postgresql"), query, *values))


async def fetch(system: System, name: str, query: str, *values: Any) -> list[asyncpg.Record]:
    """The same inside an event loop."""
    return await _fetch(database_url(system, name, "examflow", "postgresql"), query, *values)


async def _fetch(url: str, query: str, *values: Any) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(query, *values)
    finally:
        await connection.close()
    return rows


async def _as_superuser(system: System, command: str) -> None:
    await _fetch(database_url(system, "postgres", "postgres", "postgresql"), command)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """In a thread of its own: pytest-asyncio may hold this one's event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result(timeout=60)
