"""Where the backing services come from: local processes, or containers where a Docker engine answers."""

from pathlib import Path
from typing import Protocol

from deploy.local.ports import Ports
from deploy.local.system import System, create


class Backends(Protocol):
    """Orthanc, RabbitMQ and PostgreSQL for one test run."""

    def start(self, root: Path) -> System:
        """Start what must run before the system does, and say what system then is to be brought up below `root`."""

    def stop(self) -> None:
        """End what `start` started."""


class LocalBackends:
    """The servers from Debian as private processes; the system brings them up itself."""

    def start(self, root: Path) -> System:
        return create(root, ports=Ports.free())

    def stop(self) -> None:
        """Nothing of its own runs."""


def chosen(name: str) -> Backends:
    """The provider by its name: local or containers."""
    if name == "local":
        return LocalBackends()
    from tests.container_backends import ContainerBackends  # noqa: PLC0415  # testcontainers is slow to import

    return ContainerBackends()
