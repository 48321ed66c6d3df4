"""Talking to supervisord: start it, ask it, tell it. Every call is bounded in time."""

import http.client
import os
import socket
import subprocess
import sys
import time
import xmlrpc.client  # nosec B411  # the answers of our own supervisord, on a socket that its owner alone may open
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from deploy.local.errors import LocalSystemError
from deploy.local.files import last_lines
from deploy.local.layout import REPO, Layout
from deploy.local.supervisord_conf import LISTENER

ANSWER_SECONDS = 5.0
START_SECONDS = 20.0
# What the programs may inherit from who starts them; all the rest of a shell's environment is not theirs.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
ALREADY_STARTED, NOT_RUNNING = 60, 70  # supervisor.xmlrpc.Faults
NO_WAIT = False


class SupervisorSilentError(LocalSystemError):
    """supervisord does not run, or does not answer."""


@dataclass(frozen=True)
class ProgramState:
    """What supervisord says of one program; ``pid`` is 0 while it does not run."""

    name: str
    state: str
    pid: int
    since: float
    problem: str


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.connect(str(self._path))


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _Connection(self._path)
        self._connection = host, connection  # so that close() closes it
        return connection


class Supervisor:
    """The supervisord of one system."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def _call(self, method: str, *arguments: Any) -> Any:
        proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_Transport(self._layout.socket))
        with proxy:
            try:
                return getattr(proxy, f"supervisor.{method}")(*arguments)
            except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
                raise SupervisorSilentError(f"supervisord of {self._layout.root} does not answer: {error}") from error

    def answers(self) -> bool:
        """Whether it runs and takes commands."""
        try:
            self._call("getState")
        except SupervisorSilentError:
            return False
        return True

    def start(self) -> None:
        """Start it in the background, with no program running yet, and wait until it answers."""
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._layout.supervisord_conf)]
        try:
            # It returns once it has become a daemon, its socket open; a fault in its configuration is told before.
            done = subprocess.run(  # noqa: S603  # our own interpreter and file
                command,
                cwd=REPO,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=START_SECONDS,
                check=False,
            )
            said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        except subprocess.TimeoutExpired:
            said = [f"no sign of it within {START_SECONDS:.0f} s"]
        deadline = time.monotonic() + ANSWER_SECONDS
        while not said and time.monotonic() < deadline:
            if self.answers():
                return
            time.sleep(0.05)
        lines = said or last_lines(self._layout.log("supervisord"), 10)
        raise LocalSystemError("supervisord did not start:\n  " + "\n  ".join(lines))

    def states(self) -> dict[str, ProgramState]:
        """All programs by name, without our own event listener."""
        rows = cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        return {
            row["name"]: ProgramState(row["name"], row["statename"], row["pid"], row["start"], row["spawnerr"])
            for row in rows
            if row["name"] != LISTENER
        }

    def pids(self) -> dict[str, int]:
        """The pid of each program that runs; nothing if supervisord is gone."""
        try:
            return {state.name: state.pid for state in self.states().values() if state.pid}
        except SupervisorSilentError:
            return {}

    def start_program(self, name: str) -> None:
        """Begin to start it; whether it stays up is told by ``states``."""
        self._tolerating(ALREADY_STARTED, "startProcess", name, NO_WAIT)

    def stop_program(self, name: str) -> None:
        """Begin to stop it, gracefully."""
        self._tolerating(NOT_RUNNING, "stopProcess", name, NO_WAIT)

    def _tolerating(self, code: int, method: str, *arguments: Any) -> None:
        try:
            self._call(method, *arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != code:
                raise LocalSystemError(f"supervisord could not {method} {arguments[0]}: {fault.faultString}") from fault

    def read_configuration_again(self) -> list[str]:
        """Take up the changed configuration; returns the programs that were stopped for it, to be started again."""
        [[added, changed, removed]] = self._call("reloadConfig")
        for name in [*changed, *removed]:
            self.stop_and_wait([name])
            self._call("removeProcessGroup", name)
        for name in [*changed, *added]:
            self._call("addProcessGroup", name)
        return [*changed, *added]

    def stop_and_wait(self, names: list[str], seconds: float = 60.0) -> None:
        """Stop these programs, all at once, and wait until they have ended (supervisord kills the slow)."""
        for name in names:
            self.stop_program(name)
        deadline = time.monotonic() + seconds
        while running := [name for name, state in self.states().items() if name in names and state.pid]:
            if time.monotonic() > deadline:
                raise LocalSystemError(f"{', '.join(running)} did not stop within {seconds:.0f} s.")
            time.sleep(0.05)

    def shut_down(self) -> None:
        """Tell it to end itself and whatever still runs."""
        self._call("shutdown")
