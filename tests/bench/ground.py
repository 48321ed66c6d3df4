"""The system that is measured: its own, below .run/bench-<pid>, with images in it that alice may see."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from deploy.local import lifecycle
from deploy.local.layout import REPO, Layout
from deploy.local.ports import Ports
from deploy.local.system import System, create, save
from tests.bench.wrk import Request
from tests.running import Running, registered, upload

EXAM, VIEWER = "EX-BENCH", "alice"
# One client asks for more than the gateway allows one; nothing is made ahead unless a measurement says so.
SETTINGS = {
    "GATEWAY_REQUESTS_PER_SECOND": "1000000",
    "GATEWAY_REQUESTS_BURST": "1000000",
    "GATEWAY_PICTURES_PER_SECOND": "1000000",
    "EXAMFLOW_WARMING__ON": "false",
}
PICTURE = "preview?quality=90"


@dataclass
class Ground:
    """A running system."""

    system: System
    running: Running
    say: Callable[[str], None]

    def restarted(self, **settings: str) -> None:
        """The services anew, with these settings beside the usual ones."""
        self.system = self.system.model_copy(update={"settings": SETTINGS | settings})
        save(self.system)
        lifecycle.restart(self.system, "preview")

    def stored(self, files: Iterable[bytes], at_once: int = 4) -> list[str]:
        """Upload and register; the Orthanc ids."""

        def store(content: bytes) -> str:
            answer = upload(client, content, examenID=EXAM)
            answer.raise_for_status()
            return str(answer.json()["data"]["ID"])

        client = self.running.client(VIEWER)
        with ThreadPoolExecutor(at_once) as pool:
            ids = list(pool.map(store, files))
        for one in ids:
            registered(client, one)
        return ids

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    @property
    def _token(self) -> str:
        return self.running.token(VIEWER)

    def views(self, ids: Iterable[str]) -> list[Request]:
        """Of their pictures, at the gateway."""
        bearer = self.bearer
        return [Request(f"/dicom/instances/{one}/{PICTURE}", bearer) for one in ids]

    def renders(self) -> tuple[float, float]:
        """How often Orthanc was asked for a picture, and the seconds that took."""
        count, seconds = (self.counted(f"examflow_preview_render_seconds_{what}") for what in ("count", "sum"))
        return count, seconds

    def counted(self, metric: str) -> float:
        """A metric of preview, whatever its labels."""
        lines = httpx.get(self.system.service_url("preview") + "/metrics", trust_env=False).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith((metric + " ", metric + "{")))


@contextlib.contextmanager
def ground(say: Callable[[str], None]) -> Iterator[Ground]:
    """Bring it up, and forget it afterwards."""
    root = REPO / ".run" / f"bench-{os.getpid()}"
    system = create(root, ports=Ports.free(), settings=SETTINGS)
    try:
        lifecycle.up(system, say)
        running = Running(root)
        running.open_exam(EXAM, f"user:{VIEWER}")
        yield Ground(system, running, say)
        running.close()
    finally:
        lifecycle.clean(Layout(root))
        shutil.rmtree(root, ignore_errors=True)
