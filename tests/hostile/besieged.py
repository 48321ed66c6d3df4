"""An upload service and a gateway of our own on the servers of the run, with short deadlines and a door to Orthanc."""

import contextlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.local import lifecycle
from deploy.local.layout import Layout
from deploy.local.ports import HOST, Ports
from deploy.local.system import System, create
from tests import dicom_files
from tests.chaos.background import Background
from tests.conftest import RUN
from tests.hostile.counting import Door
from tests.integration.faulty import Faulty
from tests.running import Running, upload

MIB = 1024 * 1024
LIMIT = 20 * MIB
BUDGET = 64 * MIB  # DESIGN section 9: what uploads in flight may add to the service's memory
DEADLINE = 2.0
SETTINGS = {
    "EXAMFLOW_UPLOAD_LIMIT": str(LIMIT),
    "EXAMFLOW_PACE__FIRST_BYTE_SECONDS": str(DEADLINE),
    "EXAMFLOW_PACE__WINDOW_SECONDS": str(DEADLINE),
    "EXAMFLOW_PACE__WHOLE_SECONDS": "60",
}


@dataclass
class Besieged:
    """The system, its door to Orthanc, and the memory of its upload service."""

    system: System
    door: Door
    background: Background
    running: Running = field(init=False)

    def __post_init__(self) -> None:
        self.running = Running(self.system.root)

    @property
    def pid(self) -> int:
        return Faulty(self.system).pid("upload")

    def rest(self) -> int:
        """Bytes that the upload service has in memory; its peak is counted from here."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return self._memory("VmRSS")

    def peak(self) -> int:
        """The most that it had since."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

    def gauge(self, name: str) -> float:
        """A metric of the upload service."""
        lines = httpx.get(self.system.service_url("upload") + "/metrics", trust_env=False).text.splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def cuts(self) -> float:
        """How many uploads were cut for their slowness."""
        return sum(self.gauge(f'examflow_uploads_cut_total{{limit="{limit}"}}') for limit in ("first-byte", "rate"))

    def instances(self) -> int:
        """What Orthanc has."""
        auth = ("admin", self.system.secrets.orthanc_admin)
        found = httpx.get(f"http://{self.system.backing.orthanc}/statistics", auth=auth, trust_env=False).json()
        return int(found["CountInstances"])

    @contextlib.contextmanager
    def normal_uploads(self) -> Iterator[list[int]]:
        """Someone else's uploads, one after another, meanwhile; their statuses."""
        statuses: list[int] = []
        ends = threading.Event()

        def send() -> None:
            with self.running.client("normal") as client:
                while not ends.wait(0.05):
                    statuses.append(upload(client, dicom_files.fresh("CT_small.dcm")).status_code)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield statuses
        finally:
            ends.set()
            thread.join(60)
        assert statuses


def brought_up(
    name: str, backing: System, programs: tuple[str, ...], settings: dict[str, str], **ports: int
) -> Iterator[System]:
    """Some programs on the servers of another system, below .run/<name>; gone afterwards. `ports`: those not free."""
    root = RUN / name
    system = create(
        root,
        ports=Ports.free().model_copy(update=ports),
        programs=programs,
        backing=backing.backing,
        secrets=backing.secrets,
        settings=settings,
    )
    try:
        lifecycle.up(system, print)
        yield system
    finally:
        lifecycle.clean(Layout(root), print)
        shutil.rmtree(root, ignore_errors=True)


def behind_a_door(backing: System, background: Background) -> tuple[System, Door]:
    """The same system, its Orthanc reached through a door that counts."""
    port = Ports.free().orthanc
    door = Door(background, port, backing.backing.orthanc)
    door.listen()
    through = backing.backing.model_copy(update={"orthanc": f"{HOST}:{port}"})
    return backing.model_copy(update={"backing": through}), door
