"""Which ports a system listens on, and who sits on one that is taken."""

import random
import socket
from pathlib import Path

from pydantic import BaseModel

HOST = "127.0.0.1"
# Below the range from which the kernel gives outgoing connections their ports.
FREE_RANGE = range(20000, 32000)


class Ports(BaseModel, frozen=True):
    """Not the standard ones, so that an installed server is not disturbed."""

    gateway: int = 8080
    upload: int = 18081
    registration: int = 18082
    preview: int = 18083
    reconciler: int = 18084
    orthanc: int = 18042
    dicom: int = 14242
    amqp: int = 15673
    management: int = 15674
    prometheus: int = 15675
    dist: int = 25674
    epmd: int = 14369
    postgres: int = 15432

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nobody listens on now, for a system beside others."""
        fixed = set(cls().model_dump().values())
        found: dict[str, int] = {}
        candidates = iter(random.sample(FREE_RANGE, 1000))  # nosec B311  # no secret: two systems shall differ
        for name in cls.model_fields:
            found[name] = next(port for port in candidates if port not in fixed and is_free(port))
        return cls(**found)

    def of(self, program: str) -> dict[str, int]:
        """The ports that one program listens on, by name."""
        names = {"orthanc": ("orthanc", "dicom"), "rabbitmq": ("amqp", "management", "prometheus", "dist")}
        return {name: getattr(self, name) for name in names.get(program, (program,))}


def is_free(port: int) -> bool:
    """Whether one could listen there now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are only fading away is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str | None:
    """Name and pid of the process that listens on ``port``; None where it is another user's or not known."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(fd.readlink()) in sockets for fd in (directory / "fd").iterdir()):
                return f"{(directory / 'comm').read_text().strip()} (process {directory.name})"
        except OSError:
            continue
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        except OSError:
            continue
        listening = "0A"
        inodes |= {row[9] for row in rows if row[3] == listening and int(row[1].rpartition(":")[2], 16) == port}
    return inodes
