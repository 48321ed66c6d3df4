"""Transactions on PostgreSQL. What means that the database is away becomes DatabaseAway, and nothing else does."""

import contextlib
from collections.abc import AsyncIterator

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from services.registration_service.schema_version import check_schema
from services.registration_service.settings import DatabaseSettings
from shared.errors import DatabaseAway

# Besides what SQLAlchemy calls operational (SQLSTATE classes): connection, password, database, conflict of
# transactions, resources, lock not had in time, cancelled or shut down.
_AWAY = ("08", "28", "3D", "40", "53", "55P03", "57")


class Database:
    """A pool of connections; nothing is opened before its first transaction."""

    def __init__(self, settings: DatabaseSettings) -> None:
        limits = {
            "statement_timeout": str(round(settings.statement_seconds * 1000)),
            "lock_timeout": str(round(settings.lock_seconds * 1000)),
            "idle_in_transaction_session_timeout": str(round(settings.idle_seconds * 1000)),
            "application_name": "examflow-registration",
        }
        self._engine = create_async_engine(
            settings.url.get_secret_value(),
            pool_size=settings.connections,
            max_overflow=0,
            pool_timeout=settings.connection_wait_seconds,
            pool_pre_ping=True,
            hide_parameters=True,  # an error ends in a log line, and a description may name the patient
            connect_args={"timeout": settings.connect_seconds, "server_settings": limits},
        )
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session whose work is committed at the end, or rolled back where anything was raised."""
        try:
            async with self._sessions.begin() as session:
                yield session
        except (OperationalError, InterfaceError, PoolTimeout, OSError, TimeoutError) as error:
            raise DatabaseAway from error
        except DBAPIError as error:
            if error.connection_invalidated or _sqlstate(error).startswith(_AWAY):
                raise DatabaseAway from error
            raise

    async def answers(self) -> None:
        """Readiness: a round trip that finds the tables of this code."""
        async with self._engine.connect() as connection:
            await check_schema(connection)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._engine.dispose()


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")
