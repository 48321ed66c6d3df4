"""Which of our services opened a connection, told by the port it calls from: a fault may hit one of them alone."""

from pathlib import Path

from deploy.local.programs import SERVICE_APPS

_LOCAL, _REMOTE, _INODE = 1, 2, 9  # columns of /proc/net/tcp


def service_calling(port: int, to: int) -> str:
    """The service whose connection goes from `port` to our port `to`; empty for anybody else."""
    inode = _inode(port, to)
    if inode is None:
        return ""
    for directory in Path("/proc").glob("[0-9]*"):
        name = _service(directory)
        if name and _has_open(directory, f"socket:[{inode}]"):
            return name
    return ""


def _inode(port: int, to: int) -> str | None:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        if _port(columns[_LOCAL]) == port and _port(columns[_REMOTE]) == to:
            return columns[_INODE]
    return None


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _service(directory: Path) -> str:
    try:
        words = (directory / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    return next((name for name, app in SERVICE_APPS.items() if app in words), "")


def _has_open(directory: Path, what: str) -> bool:
    try:
        return any(str(fd.readlink()) == what for fd in (directory / "fd").iterdir())
    except OSError:  # it ended meanwhile
        return False
