"""What one system is: its root, ports, programs, secrets, and where its backing services answer."""

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from deploy.local.files import write_private
from deploy.local.layout import PROGRAMS, Layout
from deploy.local.ports import HOST, Ports
from deploy.local.secrets import Secrets, load_secrets, save_secrets

MIB = 1024 * 1024
UPLOAD_LIMIT = 2048 * MIB
# What multipart adds around the file: boundaries, headers, the text fields.
MULTIPART_OVERHEAD = MIB


class Backing(BaseModel, frozen=True):
    """Where Orthanc, RabbitMQ and PostgreSQL answer, as ``host:port``: here, or elsewhere (containers)."""

    orthanc: str
    dicom: str
    amqp: str
    management: str
    postgres: str

    @classmethod
    def here(cls, ports: Ports) -> "Backing":
        """On the ports of a local system."""
        return cls(**{name: f"{HOST}:{getattr(ports, name)}" for name in cls.model_fields})


class System(BaseModel):
    """One system. Make it with ``create``, find it again with ``load``."""

    model_config = ConfigDict(frozen=True)

    root: Path = Field(exclude=True)
    secrets: Secrets = Field(exclude=True, repr=False)
    ports: Ports
    programs: tuple[str, ...]
    backing: Backing
    settings: dict[str, str]
    """Further environment of the services, stronger than what they get from here."""

    @property
    def layout(self) -> Layout:
        """Its paths."""
        return Layout(self.root)

    @property
    def upload_limit(self) -> int:
        """The greatest file, in bytes."""
        return int(self.settings.get("EXAMFLOW_UPLOAD_LIMIT", UPLOAD_LIMIT))

    @property
    def url(self) -> str:
        """The gateway."""
        return f"http://{HOST}:{self.ports.gateway}"

    def service_url(self, name: str) -> str:
        """One service, past the gateway."""
        return f"http://{HOST}:{getattr(self.ports, name)}"

    def database_url(self, user: str, scheme: str = "postgresql") -> str:
        """The database with one role's password; libpq's form by default."""
        return f"{scheme}://{user}:{self.secrets.of('postgres')[user]}@{self.backing.postgres}/examflow"

    def broker_url(self, user: str) -> str:
        """AMQP with one user's password."""
        return f"amqp://{user}:{self.secrets.of('rabbitmq')[user]}@{self.backing.amqp}/"

    @property
    def management_url(self) -> str:
        """RabbitMQ's HTTP interface, as its administrator."""
        """The gateway."""
        return f"http://admin:{self.secrets.rabbitmq_admin}@{self.backing.management}"


def create(
    root: Path,
    *,
    ports: Ports | None = None,
    programs: tuple[str, ...] = PROGRAMS,
    backing: Backing | None = None,
    secrets: Secrets | None = None,
    settings: dict[str, str] | None = None,
) -> System:
    """A system below ``root``; nothing is written or started before ``lifecycle.up``.

    Services on top of servers that run elsewhere: give their ``backing`` and the ``secrets`` they were started with
    (PostgreSQL has run ``roles.sql`` there, with the passwords of the same secrets).
    """
    layout = Layout(root.absolute())
    ports = ports or Ports()
    return System(
        root=layout.root,
        secrets=secrets or load_secrets(layout),
        ports=ports,
        programs=programs,
        backing=backing or Backing.here(ports),
        settings=settings or {},
    )


def save(system: System) -> None:
    """Write the system down, so that ``load`` finds it; its secrets in a file of their own."""
    save_secrets(system.layout, system.secrets)
    write_private(system.layout.system, system.model_dump_json(indent=2) + "\n")


def load(root: Path) -> System | None:
    """The system that was started below ``root``, or None."""
    layout = Layout(root.absolute())
    if not layout.system.exists():
        return None
    known = json.loads(layout.system.read_text())
    return System(root=layout.root, secrets=load_secrets(layout), **known)


def with_ports(system: System, ports: Ports) -> System:
    """The same system on other ports; backing services that run here move with them."""
    local = system.backing == Backing.here(system.ports)
    backing = Backing.here(ports) if local else system.backing
    return system.model_copy(update={"ports": ports, "backing": backing})
