"""The migrations follow one another: two that were written side by side would stop every deployment."""

from alembic.config import Config
from alembic.script import ScriptDirectory

from deploy.local.database import ALEMBIC


def test_there_is_one_newest_and_each_follows_another() -> None:
    scripts = ScriptDirectory.from_config(Config(ALEMBIC))
    assert len(scripts.get_heads()) == 1
    names = [path.name[:4] for path in (ALEMBIC.parent / "migrations" / "versions").glob("*.py")]
    assert sorted(names) == [f"{number:04}" for number in range(1, len(names) + 1)]
