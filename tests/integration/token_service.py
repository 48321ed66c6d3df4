"""The upload service as a process of its own that believes one issuer; nothing else that it needs is there."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.local.layout import REPO
from deploy.local.ports import HOST, Ports
from tests.issuer import AUDIENCE, Issuer
from tests.running import eventually
from tests.unit.settings import NOWHERE

START_SECONDS = 60.0
READ_SECONDS = 2.0
PAUSES = {"REREAD_SECONDS": "600", "REFRESH_SECONDS": "0.3", "RETRY_SECONDS": "0.3", "READ_SECONDS": f"{READ_SECONDS}"}


@dataclass(frozen=True)
class Service:
    """Where it answers, its pid, and what it has said."""

    url: str
    pid: int
    log: Path

    def asks(self, token: str) -> httpx.Response:
        """A route that needs a token with the scope dicom:upload, and nothing else."""
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"{self.url}/dicom/upload/limits", headers=headers, timeout=30, trust_env=False)

    def status(self, token: str) -> int:
        return self.asks(token).status_code

    def check(self) -> str:
        """What readiness says about the keys."""
        said = httpx.get(f"{self.url}/health/ready", timeout=30, trust_env=False).json()
        return str(said["checks"]["keys"])

    def metric(self, line: str) -> float:
        """The value of one line of /metrics; 0 where there is none yet."""
        lines = httpx.get(f"{self.url}/metrics", timeout=30, trust_env=False).text.splitlines()
        found = [each.rpartition(" ")[2] for each in lines if each.startswith(f"{line} ")]
        return float(found[0]) if found else 0.0

    def memory(self) -> int:
        """The most that it ever held, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@contextlib.contextmanager
def started(issuer: Issuer, log: Path, **settings: str) -> Iterator[Service]:
    """Started and alive, whether the issuer answers or not; ended afterwards."""
    port = Ports.free().upload
    tokens = {"JWKS": f"{issuer.url}/jwks", "ISSUER": issuer.url, "AUDIENCE": AUDIENCE, **PAUSES, **settings}
    environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", "UVICORN_PORT": str(port)}
    environment |= {f"EXAMFLOW_TOKENS__{name}": value for name, value in tokens.items()}
    environment |= {
        "EXAMFLOW_ORTHANC__URL": f"http://{NOWHERE}",
        "EXAMFLOW_ORTHANC__USER": "somebody",
        "EXAMFLOW_ORTHANC__PASSWORD": "secret",
        "EXAMFLOW_BROKER__URL": f"amqp://somebody:secret@{NOWHERE}/",
        "EXAMFLOW_PROFILE": "local",
        "EXAMFLOW_AUDIT__SPOOL": str(log.parent),
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "services.upload_service.app:create_app"]
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=REPO, env=environment, stdout=out, stderr=subprocess.STDOUT)
    service = Service(f"http://{HOST}:{port}", process.pid, log)
    try:
        eventually(lambda: _alive(service, process), START_SECONDS, "a service")
        yield service
    finally:
        process.terminate()
        process.wait(30)


def _alive(service: Service, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, f"it has ended: {service.log.read_text()[-2000:]}"
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{service.url}/health/live", timeout=10, trust_env=False).status_code == 200
    time.sleep(0.1)
    return False
