"""A reconciler that the lab starts itself, beside the system's own: to freeze it, or so that there are two."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import httpx

from deploy.local.layout import REPO
from deploy.local.ports import HOST, Ports
from deploy.local.processes import MARK
from deploy.local.programs import SERVICE_APPS
from deploy.local.services import service_environment
from deploy.local.supervision import INHERITED
from deploy.local.system import System
from tests.running import eventually

READY_SECONDS = 60.0
TERM_SECONDS = 15.0


class OwnReconciler:
    """One process, with the environment of the system's own but for its port and the settings given."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.pid = process.pid
        self._process = process
        self._ready = f"http://{HOST}:{port}/health/ready"

    def is_ready(self) -> bool:
        assert self._process.poll() is None, "it has ended"
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(self._ready, timeout=10, trust_env=False).status_code == 200
        return False

    def end(self) -> None:
        """TERM, then KILL: a frozen one hears of nothing else."""
        self._process.terminate()
        try:
            self._process.wait(TERM_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def started(system: System, **settings: str) -> Iterator[OwnReconciler]:
    """Started and ready; ended afterwards."""
    port = Ports.free().reconciler
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= {MARK: str(system.root)} | service_environment(system, "reconciler")
    environment |= {"UVICORN_PORT": str(port)} | settings
    command = [sys.executable, "-m", "uvicorn", "--factory", SERVICE_APPS["reconciler"]]
    with system.layout.log("reconciler-of-the-lab").open("ab") as log:
        process = subprocess.Popen(command, cwd=REPO, env=environment, stdout=log, stderr=subprocess.STDOUT)
    one = OwnReconciler(process, port)
    try:
        eventually(one.is_ready, READY_SECONDS, "a second reconciler")
        yield one
    finally:
        one.end()
