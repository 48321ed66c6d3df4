"""Transactions on PostgreSQL. What means that the database is away becomes DatabaseAway, and nothing else does."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker, create_async_engine

from services.registration_service.database_address import address
from services.registration_service.schema_version import check_schema
from services.registration_service.settings import DatabaseSettings
from shared.errors import DatabaseAway

# Besides what SQLAlchemy calls operational (SQLSTATE classes): connection, password, database, conflict of
# transactions, resources, lock not had in time, cancelled or shut down.
_AWAY = ("08", "28", "3D", "40", "53", "55P03", "57")
_LOCK_POLL_SECONDS = 0.1


class Database:
    """A pool of connections; nothing is opened before its first transaction."""

    def __init__(self, settings: DatabaseSettings) -> None:
        limits = {
            "statement_timeout": str(round(settings.statement_seconds * 1000)),
            "lock_timeout": str(round(settings.lock_seconds * 1000)),
            "idle_in_transaction_session_timeout": str(round(settings.idle_seconds * 1000)),
            "application_name": "examflow-registration",
        }
        url, tls = address(settings)
        self._engine = create_async_engine(
            url,
            pool_size=settings.connections,
            max_overflow=0,
            pool_timeout=settings.connection_wait_seconds,
            pool_pre_ping=True,
            hide_parameters=True,  # an error ends in a log line, and a description may name the patient
            connect_args={"timeout": settings.connect_seconds, "server_settings": limits, **tls},
        )
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session whose work is committed at the end, or rolled back where anything was raised."""
        with _away_as_problem():
            async with self._sessions.begin() as session:
                yield session

    @contextlib.asynccontextmanager
    async def alone(self, key: int, seconds: float) -> AsyncIterator[bool]:
        """Hold an advisory lock, on all replicas together; False where another had it for `seconds`.

        It costs a connection for as long, at most the 60 s that one may idle in a transaction. That the lock was lost
        meanwhile is no error here: what was done under it is done.
        """
        async with contextlib.AsyncExitStack() as held:
            with _away_as_problem():
                connection = await self._engine.connect()
                held.push_async_callback(_let_go, connection)
                mine = await _locked(connection, key, seconds)
            yield mine

    async def answers(self) -> None:
        """Readiness: a round trip that finds the tables of this code."""
        async with self._engine.connect() as connection:
            await check_schema(connection)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._engine.dispose()


def means_away(error: Exception) -> bool:
    """Whether the error means that the database is away, or busy, and not that the statement was wrong."""
    if isinstance(error, (OperationalError, InterfaceError, PoolTimeout, OSError, TimeoutError)):
        return True
    return isinstance(error, DBAPIError) and (error.connection_invalidated or _sqlstate(error).startswith(_AWAY))


@contextlib.contextmanager
def _away_as_problem() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if means_away(error):
            raise DatabaseAway from error
        raise


async def _let_go(connection: AsyncConnection) -> None:
    with contextlib.suppress(SQLAlchemyError, OSError):
        await connection.close()


async def _locked(connection: AsyncConnection, key: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not await connection.scalar(select(func.pg_try_advisory_xact_lock(key))):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_LOCK_POLL_SECONDS)
    return True


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")
