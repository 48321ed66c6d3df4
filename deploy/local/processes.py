"""Which processes of the machine are ours, and how to end the ones that were left behind.

Every program is a child of supervisord, and supervisord leads a session: whatever carries its session id is ours,
even after supervisord itself was killed. The kernel gives that number to nobody else while one of them lives.
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.layout import EPMD, REPO, Layout

# Set in the environment of each program, to tell ours from others in the same directory.
MARK = "EXAMFLOW_SYSTEM_ROOT"
TERM_SECONDS = 15.0
KILL_SECONDS = 5.0


@dataclass(frozen=True)
class Process:
    """One process, told from a later one with the same number by when it began."""

    pid: int
    started: int
    session: int = field(compare=False)
    command: str = field(compare=False)


def read_process(pid: int) -> Process | None:
    """The living process with this number; a zombie has ended."""
    try:
        # The name stands in parentheses and may hold anything, even parentheses.
        head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return None
    fields = tail.split()
    state, session, started = fields[0], int(fields[3]), int(fields[19])
    return None if state in "ZX" else Process(pid, started, session, head.partition("(")[2])


def all_processes() -> list[Process]:
    """What runs on this machine now."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [process for pid in numbers if (process := read_process(pid))]


def find_supervisord(layout: Layout) -> Process | None:
    """The supervisord of this system, known by the configuration it was given: no pid file can be stale."""
    wanted = os.fsencode(layout.supervisord_conf)
    for process in all_processes():
        try:
            arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if process.pid == process.session and wanted in arguments and b"supervisor.supervisord" in arguments:
            return process
    return None


def left_behind(layout: Layout) -> list[Process]:
    """What still runs of this system although its supervisord is gone."""
    try:
        session = int(layout.supervisord_pid.read_text())
    except (OSError, ValueError):
        return []
    if read_process(session):
        return []  # a supervisord that lives, or somebody else by now
    return [process for process in all_processes() if process.session == session and _is_ours(process.pid, layout)]


def stray_epmds(layout: Layout) -> list[Process]:
    """The epmds that an Erlang program of this system started by itself: in a session of their own, on our port."""
    daemon = find_supervisord(layout)
    session = daemon.session if daemon else None
    epmds = [process for process in all_processes() if process.command == EPMD and process.session != session]
    return [process for process in epmds if _bears_our_mark(process.pid, layout)]


def members(session: int) -> list[Process]:
    """All processes of one session, its leader too."""
    return [process for process in all_processes() if process.session == session]


def end(processes: list[Process]) -> None:
    """TERM, then KILL for what is still there, each only if it is still the same process."""
    for number, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        processes = [process for process in processes if read_process(process.pid) == process]
        for process in processes:
            _send(process, number)
        _wait_until_gone(processes, seconds)


def end_after(processes: list[Process], seconds: float) -> None:
    """Let them end by themselves for some seconds; end the rest."""
    _wait_until_gone(processes, seconds)
    end(processes)


def _send(process: Process, number: signal.Signals) -> None:
    # PostgreSQL takes TERM as "wait until the last client has left".
    if process.command == "postgres" and number == signal.SIGTERM:
        number = signal.SIGINT
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)


def _wait_until_gone(processes: list[Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(read_process(process.pid) == process for process in processes):
        time.sleep(0.05)


def _is_ours(pid: int, layout: Layout) -> bool:
    """Whether it works below our root, or bears our mark (nginx and PostgreSQL overwrite theirs)."""
    directory = Path(f"/proc/{pid}")
    try:
        where = (directory / "cwd").readlink()
        if where.is_relative_to(layout.root) or where == layout.postgres:
            return True
    except OSError:
        return False
    return where == REPO and _bears_our_mark(pid, layout)


def _bears_our_mark(pid: int, layout: Layout) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"{MARK}={layout.root}".encode() in environment
