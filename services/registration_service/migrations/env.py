"""Alembic's environment: the owner's database URL comes from EXAMFLOW_DATABASE__URL, or its _FILE."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from services.registration_service.models import Base
from shared.secret_files import secret_of

# The services cannot shorten it: it is the owner's, as the tables are.
_RETENTION = text("UPDATE audit_retention SET days = :days")
_LOCK = text("SELECT pg_advisory_xact_lock(4711)")  # two upgrades at once: one waits for the other


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=True)
    with context.begin_transaction():
        connection.execute(_LOCK)
        context.run_migrations()
        if days := os.environ.get("EXAMFLOW_AUDIT_RETENTION_DAYS"):
            connection.execute(_RETENTION, {"days": int(days)})


async def _run() -> None:
    engine = create_async_engine(secret_of("EXAMFLOW_DATABASE__URL"))
    async with engine.begin() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


asyncio.run(_run())
