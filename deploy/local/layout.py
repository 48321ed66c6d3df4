"""Where everything of one system lies, and what its programs are called."""

import os
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
DEFAULT_ROOT = REPO / ".run"

BACKING = ("orthanc", "rabbitmq", "postgres")
SERVICES = ("upload", "registration", "preview", "reconciler")
PROGRAMS = (*BACKING, *SERVICES, "gateway")
# The name server of Erlang nodes: part of RabbitMQ, but a process of its own that would outlive it.
EPMD = "epmd"

# A unix socket's address has 108 bytes, and supervisord binds under a longer, temporary name first.
SOCKET_PATH_LIMIT = 90


@dataclass(frozen=True)
class Layout:
    """The paths below the root of one system."""

    root: Path

    @property
    def conf(self) -> Path:
        """Rendered configuration, secrets in it."""
        return self.root / "conf"

    @property
    def data(self) -> Path:
        """What the servers keep."""
        return self.root / "data"

    @property
    def audit(self) -> Path:
        """What of the audit trail stands outside the database: anchors, and records that wait for the broker."""
        return self.root / "audit"

    @property
    def pictures(self) -> Path:
        """Previews that were made before."""
        return self.data / "pictures"

    @property
    def logs(self) -> Path:
        """One rotated log for each program."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Pid files and temporary files of the running system."""
        return self.root / "run"

    @property
    def tokens(self) -> Path:
        """The key that signs local tokens, and its public half."""
        return self.root / "tokens"

    @property
    def jwks(self) -> Path:
        """The public half, as the services read it."""
        return self.tokens / "jwks.json"

    @property
    def signing_key(self) -> Path:
        """The private half, PEM."""
        return self.tokens / "key.pem"

    @property
    def env(self) -> Path:
        """Addresses, passwords and pids for shells and tests."""
        return self.root / "env"

    @property
    def system(self) -> Path:
        """What the system is: its ports, programs and settings."""
        return self.root / "system.json"

    @property
    def secrets(self) -> Path:
        """Its passwords."""
        return self.root / "secrets.json"

    @property
    def lock(self) -> Path:
        """Held while it is started or stopped."""
        return self.root / "lock"

    @property
    def supervisord_conf(self) -> Path:
        """What supervisord is started with; its path tells ours from others."""
        return self.conf / "supervisord.conf"

    @property
    def supervisord_pid(self) -> Path:
        """Written by supervisord."""
        return self.run / "supervisord.pid"

    @property
    def socket(self) -> Path:
        """Where supervisord takes commands."""
        near = self.run / "supervisor.sock"
        return near if len(os.fsencode(near)) <= SOCKET_PATH_LIMIT else self._far("sock")

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data: below the root, or where its own user may enter if it may not enter there.

        A server started by root runs as the user ``postgres``, who cannot reach a checkout below a closed directory.
        """
        near, far = self.data / "postgres", Path("/var/lib/postgresql") / f"examflow-{self._digest}"
        if near.exists() or far.exists():
            return near if near.exists() else far
        may_enter = os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in self.root.parents)
        return near if may_enter else far

    def log(self, name: str) -> Path:
        """The log of one program."""
        return self.logs / f"{name}.log"

    @property
    def _digest(self) -> str:
        return sha256(os.fsencode(self.root)).hexdigest()[:12]

    def _far(self, suffix: str) -> Path:
        return Path(tempfile.gettempdir()) / f"examflow-{os.geteuid()}-{self._digest}.{suffix}"

    def own_paths(self) -> tuple[Path, ...]:
        """What this system made, and what ``clean`` removes; other systems may lie in the same directory."""
        files = (self.env, self.system, self.secrets, self.socket)
        return (self.conf, self.data, self.postgres, self.logs, self.run, self.tokens, *files)

    def make(self) -> None:
        """Make the directories; only the root and the data may be passed through by PostgreSQL's user."""
        for directory, mode in (
            (self.root, 0o711),
            (self.data, 0o711),
            (self.conf, 0o700),
            (self.logs, 0o700),
            (self.run, 0o700),
            (self.tokens, 0o700),
        ):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(mode)
