"""PostgreSQL before the services: its data directory, the roles, the tables."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.local.errors import LocalSystemError
from deploy.local.files import last_lines, write_private
from deploy.local.layout import REPO
from deploy.local.programs import postgres_bin, postgres_user
from deploy.local.system import System

ALEMBIC = REPO / "services" / "registration_service" / "alembic.ini"
STEP_SECONDS = 120.0


def make_data(system: System) -> None:
    """Run initdb once; a data directory that an interrupted initdb left half made is made again."""
    data = system.layout.postgres
    if _is_made(data):
        return
    if data.exists():
        shutil.rmtree(data)
    data.mkdir(mode=0o700, parents=True)
    _unfinished(data).touch()
    password = data.with_name(f"{data.name}.password")
    write_private(password, system.secrets.postgres_admin)
    user = postgres_user()
    if user:
        account = pwd.getpwnam(user)
        for path in (data, password):
            os.chown(path, account.pw_uid, account.pw_gid)
    command = [
        *(str(postgres_bin() / "initdb"), "-D", str(data), "-U", "postgres", "--encoding=UTF8", "--locale=C.UTF-8"),
        *("--auth=scram-sha-256", f"--pwfile={password}", "--data-checksums"),
    ]
    _run(system, "postgres-setup", command, {}, user=user, cwd=data)
    password.unlink()
    _unfinished(data).unlink()


def make_roles(system: System) -> None:
    """The database, its owner and the account of the registration service, with the passwords of now."""
    host, _, port = system.backing.postgres.rpartition(":")
    environment = {
        "PGHOST": host,
        "PGPORT": port,
        "PGUSER": "postgres",
        "PGDATABASE": "postgres",
        "PGPASSWORD": system.secrets.postgres_admin,
        "PGCONNECT_TIMEOUT": "5",
        "EXAMFLOW_OWNER_PASSWORD": system.secrets.postgres_examflow,
        "EXAMFLOW_REGISTRATION_PASSWORD": system.secrets.postgres_registration,
    }
    script = Path(__file__).with_name("roles.sql")
    _run(system, "postgres-setup", [str(postgres_bin() / "psql"), "-X", "-q", "-f", str(script)], environment)


def migrate(system: System) -> bool:
    """Bring the tables to the newest revision; False where there are no migrations yet."""
    if not ALEMBIC.exists():
        return False
    environment = {"EXAMFLOW_DATABASE__URL": system.database_url("examflow", "postgresql+asyncpg")}
    _run(system, "migrations", [sys.executable, "-m", "alembic", "-c", str(ALEMBIC), "upgrade", "head"], environment)
    return True


def _is_made(data: Path) -> bool:
    version, installed = data / "PG_VERSION", postgres_bin().parent.name
    if not version.exists() or _unfinished(data).exists():
        return False
    found = version.read_text().strip()
    if found != installed:
        raise LocalSystemError(f"{data} was made by PostgreSQL {found}, installed is {installed}: run 'make clean'.")
    return True


def _unfinished(data: Path) -> Path:
    return data.with_name(f"{data.name}.unfinished")


def _run(
    system: System,
    log: str,
    command: list[str],
    environment: dict[str, str],
    *,
    user: str | None = None,
    cwd: Path = REPO,
) -> None:
    """Run one step to its end; its output goes to a log, whose last lines are shown if it fails."""
    path = system.layout.log(log)
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    with path.open("a") as output:
        try:
            subprocess.run(  # noqa: S603  # our own commands
                command,
                env=inherited | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=user,
                group=user,
                extra_groups=[] if user else None,
                cwd=cwd,
                timeout=STEP_SECONDS,
                check=True,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            lines = "\n  ".join(last_lines(path, 15))
            raise LocalSystemError(f"The step {log} failed ({path}):\n  {lines}") from error
