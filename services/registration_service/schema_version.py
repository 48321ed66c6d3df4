"""Whether the database has the tables of this code. One that is newer is fine: replicas are upgraded one by one."""

from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_CONFIGURATION = Path(__file__).with_name("alembic.ini")


async def check_schema(connection: AsyncConnection) -> None:
    """Raise where migrations are missing."""
    found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    if found in _older_revisions():
        raise LookupError(f"the tables are those of revision {found}: run the migrations")


@cache
def _older_revisions() -> frozenset[str]:
    """The revisions that this code knows, without the newest."""
    scripts = ScriptDirectory.from_config(Config(_CONFIGURATION))
    return frozenset(script.revision for script in scripts.walk_revisions()) - set(scripts.get_heads())
