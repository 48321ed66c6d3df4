"""A second process of a service, which a test starts beside the system's own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Replica:
    """Where it answers."""

    url: str
    pid: int

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health/ready", timeout=10, trust_env=False).status_code == 200
        return False

    def metric(self, name: str) -> float:
        """A metric with its labels as /metrics writes it; 0 where it has none yet."""
        text = httpx.get(f"{self.url}/metrics", timeout=10, trust_env=False).text
        found = [line.rpartition(" ")[2] for line in text.splitlines() if line.rpartition(" ")[0] == name]
        return float(found[0]) if found else 0.0


@contextlib.contextmanager
def started(system: System, service: str, **settings: str) -> Iterator[Replica]:
    """With the environment of the system's own but for its port and the settings given; ended afterwards."""
    port = getattr(Ports.free(), service)
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= {MARK: str(system.root)} | service_environment(system, service)
    environment |= {"UVICORN_PORT": str(port)} | settings
    command = [sys.executable, "-m", "uvicorn", "--factory", SERVICE_APPS[service]]
    with system.layout.log(f"{service}-of-a-test").open("ab") as log:
        process = subprocess.Popen(command, cwd=REPO, env=environment, stdout=log, stderr=subprocess.STDOUT)
    replica = Replica(f"http://{HOST}:{port}", process.pid)
    try:
        eventually(replica.is_ready, READY_SECONDS, f"a second {service}")
        yield replica
    finally:
        process.terminate()
        try:
            process.wait(TERM_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
