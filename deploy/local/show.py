"""What a person sees: the table of programs, the URLs, the logs."""

import shlex
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.local.files import last_lines
from deploy.local.layout import EPMD
from deploy.local.ready import missing
from deploy.local.supervision import ProgramState, Supervisor, SupervisorSilentError
from deploy.local.system import System

LOG_LINES = 200
POLL_SECONDS = 0.3


def status(system: System, console: Console) -> bool:
    """Print one row for each program; True if all are ready."""
    try:
        states = Supervisor(system.layout).states()
    except SupervisorSilentError:
        console.print(f"The system in {system.root} is not running: 'make up' starts it.", soft_wrap=True)
        return False
    names = (*system.programs, EPMD)
    table = Table("program", "state", "pid", "since", "ports", "ready", box=None)
    all_ready = True
    for name, state in sorted(states.items(), key=lambda item: names.index(item[0])):
        problem = missing(system, name) if state.pid else state.problem or "does not run"
        all_ready = all_ready and problem is None
        ports = " ".join(str(port) for port in system.ports.of(name).values())
        ready = "[green]ready[/]" if problem is None else problem
        table.add_row(name, state.state.lower(), str(state.pid or "-"), _since(state), ports, ready)
    console.print(table)
    return all_ready


def urls(system: System, console: Console) -> None:
    """Print where to go on."""
    rows = {
        "gateway": system.url,
        "OpenAPI": "  ".join(f"{system.service_url(name)}/docs" for name in ("upload", "registration", "preview")),
        "Orthanc": f"http://{system.backing.orthanc}",
        "RabbitMQ": f"http://{system.backing.management}",
        "addresses, passwords, pids": f"set -a; . {shlex.quote(str(system.layout.env))}; set +a",
    }
    for what, where in rows.items():
        console.print(f"  {what}: {where}", soft_wrap=True, highlight=False)


def print_log(path: Path, console: Console) -> int:
    """Print the end of a log; returns how far the file was read."""
    size = path.stat().st_size
    for line in last_lines(path, LOG_LINES):
        console.out(line, highlight=False)
    return size


def follow(path: Path, console: Console, position: int) -> None:
    """Print what is appended, until interrupted; a rotated log is read from its beginning."""
    while True:
        size = path.stat().st_size if path.exists() else 0
        if size < position:
            position = 0
        if size > position:
            with path.open("rb") as file:
                file.seek(position)
                text = file.read(size - position)
            position += len(text)
            console.out(text.decode(errors="replace"), end="", highlight=False)
        time.sleep(POLL_SECONDS)


def _since(state: ProgramState) -> str:
    if not state.pid:
        return "-"
    began, now = datetime.fromtimestamp(state.since, UTC).astimezone(), datetime.now(UTC).astimezone()
    return f"{began:%H:%M:%S}" if began.date() == now.date() else f"{began:%Y-%m-%d %H:%M}"
