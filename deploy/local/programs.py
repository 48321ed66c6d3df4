"""How each program is started: its command, environment, user and the signal that ends it gracefully."""

import os
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from deploy.local.errors import LocalSystemError
from deploy.local.layout import EPMD, REPO
from deploy.local.ports import HOST
from deploy.local.processes import MARK
from deploy.local.render import config_files
from deploy.local.services import service_environment
from deploy.local.system import System

RABBITMQ_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
SERVICE_APPS = {
    "upload": "services.upload_service.app:create_app",
    "registration": "services.registration_service.app:create_app",
    "preview": "services.preview_service.app:create_app",
    "reconciler": "services.registration_service.reconciler:create_app",
}


@dataclass(frozen=True)
class Program:
    """One process that supervisord keeps alive."""

    name: str
    command: tuple[str, ...]
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 25


def programs_of(system: System) -> list[Program]:
    """All programs of the system, epmd before RabbitMQ."""
    makers = {"orthanc": _orthanc, "rabbitmq": _rabbitmq, "postgres": _postgres, "gateway": _gateway}
    programs = [makers[name](system) if name in makers else _service(system, name) for name in system.programs]
    return [_epmd(system), *programs] if "rabbitmq" in system.programs else programs


def postgres_bin() -> Path:
    """The newest PostgreSQL that Debian installed."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(found, key=lambda path: int(path.parents[1].name), default=None)
    if newest is None:
        raise LocalSystemError("PostgreSQL is not installed: run deploy/local/install.sh.")
    return newest.parent


def postgres_user() -> str | None:
    """PostgreSQL refuses to run as root; anybody else runs it as oneself."""
    return "postgres" if os.geteuid() == 0 else None


def _with_mark(system: System, program: str, environment: dict[str, str]) -> dict[str, str]:
    """Add whose process it is, and a digest of its configuration: supervisord restarts what it sees changed."""
    digest = sha256(b"".join(path.read_bytes() for path in config_files(system, program))).hexdigest()[:16]
    return environment | {MARK: str(system.root), "EXAMFLOW_CONFIGURATION": digest}


def _orthanc(system: System) -> Program:
    return Program(
        name="orthanc",
        command=("/usr/sbin/Orthanc", str(system.layout.conf / "orthanc")),
        directory=system.layout.data / "orthanc",
        environment=_with_mark(system, "orthanc", {}),
    )


def _erlang_names(system: System) -> dict[str, str]:
    return {"ERL_EPMD_PORT": str(system.ports.epmd), "ERL_EPMD_ADDRESS": HOST}


def _epmd(system: System) -> Program:
    return Program(
        name=EPMD,
        command=("/usr/bin/epmd", "-port", str(system.ports.epmd), "-address", HOST),
        directory=system.layout.run,
        environment=_with_mark(system, EPMD, _erlang_names(system)),
    )


def rabbitmq_environment(system: System) -> dict[str, str]:
    """What the scripts in /usr/lib/rabbitmq/bin need to find this broker and no other."""
    conf, data = system.layout.conf, system.layout.data / "rabbitmq"
    return _erlang_names(system) | {
        MARK: str(system.root),
        "RABBITMQ_CTL_ERL_ARGS": "-start_epmd false",
        "HOME": str(data),  # where Erlang looks for its cookie
        "RABBITMQ_CONF_ENV_FILE": str(conf / "rabbitmq-env.conf"),  # not there: the machine's own is not read
        "RABBITMQ_NODENAME": "examflow@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": str(system.ports.amqp),
        "RABBITMQ_DIST_PORT": str(system.ports.dist),
        "RABBITMQ_CONFIG_FILE": str(conf / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(conf / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(conf / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(data / "generated"),
        "RABBITMQ_SCHEMA_DIR": str(data / "schema"),
        "RABBITMQ_LOG_BASE": str(system.layout.logs),
        "RABBITMQ_LOGS": "-",
        # The script then becomes the broker instead of watching over it: the pid is the broker's own.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
    }


def _rabbitmq(system: System) -> Program:
    return Program(
        name="rabbitmq",
        command=(str(RABBITMQ_SERVER),),
        directory=system.layout.data / "rabbitmq",
        environment=_with_mark(system, "rabbitmq", rabbitmq_environment(system)),
        stop_seconds=40,
    )


def _postgres(system: System) -> Program:
    data = system.layout.postgres
    options = {
        "listen_addresses": HOST,
        "port": str(system.ports.postgres),
        "unix_socket_directories": "",
        "max_connections": "200",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_checkpoints": "off",
    }
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        command=(str(postgres_bin() / "postgres"), "-D", str(data), *settings),
        directory=data,
        environment=_with_mark(system, "postgres", {}),
        user=postgres_user(),
        stop_signal="INT",  # "fast": TERM would wait until the last client has left
    )


def _service(system: System, name: str) -> Program:
    return Program(
        name=name,
        command=(sys.executable, "-m", "uvicorn", "--factory", SERVICE_APPS[name]),
        directory=REPO,
        environment=_with_mark(system, name, service_environment(system, name)),
    )


def _gateway(system: System) -> Program:
    return Program(
        name="gateway",
        command=(sys.executable, "-m", "deploy.local.start_gateway", str(system.root)),
        directory=system.layout.run,
        environment=_with_mark(system, "gateway", {"PYTHONPATH": str(REPO)}),
        stop_signal="QUIT",  # requests in flight are answered first
    )
