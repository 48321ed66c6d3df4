"""Databases for tests alone, beside the one that the services work on."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from deploy.local.database import ALEMBIC
from deploy.local.layout import REPO
from deploy.local.system import System
from tests.integration.accounts import database_url


def make(system: System, name: str) -> None:
    """An empty database of the migrations' role."""
    _run(superuser(system, f'CREATE DATABASE "{name}" OWNER examflow'))


def copy(system: System, template: str, name: str) -> None:
    """A database like another one, to which nobody is connected."""
    _run(superuser(system, f'CREATE DATABASE "{name}" TEMPLATE "{template}" OWNER examflow'))


def drop(system: System, name: str) -> None:
    _run(superuser(system, f'DROP DATABASE "{name}" WITH (FORCE)'))


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


def ask(system: System, name: str, query: str, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of one query of the owner, for tests that have no event loop."""
    rows: list[tuple[Any, ...]] = _run(fetch(system, name, query, **values))
    return rows


async def fetch(system: System, name: str, query: str, **values: Any) -> list[tuple[Any, ...]]:
    """The same inside an event loop."""
    return await _execute(database_url(system, name, "examflow"), query, values)


async def superuser(system: System, command: str) -> None:
    """One command that the roles of Examflow may not give."""
    await _execute(database_url(system, "postgres", "postgres"), command, {})


async def as_superuser(system: System, name: str, command: str, **values: Any) -> list[tuple[Any, ...]]:
    """What somebody can do who has taken over the database."""
    return await _execute(database_url(system, name, "postgres"), command, values)


async def _execute(url: str, query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with engine.connect() as connection:
        result = await connection.execute(text(query), values)
        return [tuple(row) for row in result] if result.returns_rows else []


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """In a thread of its own: pytest-asyncio may hold this one's event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result(timeout=60)
