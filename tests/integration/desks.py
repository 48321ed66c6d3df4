"""The operators' desk on the real servers, over a database of its own: no other test's images are in its counts."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from pydantic import SecretStr

from deploy.local.system import System
from services.registration_service.copies import Copies
from services.registration_service.database import Database
from services.registration_service.ops.dead_letters import DeadLetters
from services.registration_service.ops.desk import Desk
from services.registration_service.settings import Settings, StatusSettings
from shared.broker import make_broker
from shared.orthanc import Orthanc
from shared.settings import TokenSettings
from tests.integration import accounts
from tests.unit.settings import NOWHERE


@contextlib.asynccontextmanager
async def opened(system: System, tables: str, *, away: str = "", **status: Any) -> AsyncIterator[Desk]:
    """A desk; `away` names a server that it does not reach: postgresql, rabbitmq or orthanc."""
    settings = Settings(
        orthanc=accounts.orthanc(system, "registration", **({"url": f"http://{NOWHERE}"} if away == "orthanc" else {})),
        broker=accounts.broker(system, "registration"),
        database=accounts.database(system, tables, connect_seconds=1.0),
        tokens=TokenSettings(jwks="nowhere", issuer="nobody", audience="nobody"),
        internal_token=SecretStr("secret"),
        status=StatusSettings(**{"answer_seconds": 3.0, **status}),
    )
    if away == "postgresql":
        settings.database.url = SecretStr(f"postgresql+asyncpg://registration:x@{NOWHERE}/{tables}")
    broker = make_broker(settings.broker, "desk")
    database, orthanc = Database(settings.database), Orthanc(settings.orthanc)
    async with contextlib.aclosing(database), contextlib.aclosing(orthanc):
        if away != "rabbitmq":
            await broker.start()
        try:
            letters = DeadLetters(settings.broker, Copies(broker, settings.broker), database, settings.dead_letters)
            yield Desk(database, orthanc, broker, letters, settings)
        finally:
            await broker.stop()
