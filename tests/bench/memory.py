"""What preview takes of memory while its cache fills up and somebody downloads an image of 2 GB."""

import abc
import itertools
import threading
from pathlib import Path
from typing import Self

import httpx

from services.preview_service.settings import CacheSettings
from tests.bench import images
from tests.bench.ground import EXAM, Ground
from tests.bench.table import Row, value_at_most
from tests.running import registered

MIB = 1024 * 1024
FRAMES = 4000  # 2.1 GB, a little under the greatest file
LARGE, QUALITIES = 4, range(40, 101)  # pictures of half a megabyte, of which many fill the cache


def measure(ground: Ground) -> list[Row]:
    """The most that was seen, every 20 ms, beside what the service took when it had just started."""
    file = _stored_file(ground)
    ids = ground.stored((images.ct(2048) for _ in range(LARGE)), at_once=1)
    ground.restarted()
    pid, setting = ground.running.env["PID_PREVIEW"], CacheSettings().memory_bytes
    idle = _pss(pid)
    with _Most(pid) as most, _Downloads(ground, file) as downloads:
        shown = _show(ground, ids, 2 * setting)
    extra = (most.pss - idle) / MIB
    return [
        Row("memory of preview, just started", idle / MIB, "MiB"),
        Row("pictures made and shown during downloads of 2 GB", shown / MIB, "MiB"),
        Row("downloads of 2 GB meanwhile", downloads.whole, "downloads"),
        Row("memory of preview, the most", most.pss / MIB, "MiB"),
        value_at_most(Row("the same, above just started", extra, "MiB"), setting / MIB + 64),
    ]


class _Meanwhile(abc.ABC):
    """Goes on in a thread of its own until the end of the block."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @abc.abstractmethod
    def _go_on(self) -> None:
        """Until it is done."""


class _Most(_Meanwhile):
    """Looks at a process every so often, and remembers the most that it held."""

    def __init__(self, pid: str) -> None:
        super().__init__()
        self._pid = pid
        self.pss = 0

    def _go_on(self) -> None:
        while not self._done.wait(0.02):
            self.pss = max(self.pss, _pss(self._pid))


class _Downloads(_Meanwhile):
    """Downloads a file again and again until the end, and once whole at least."""

    def __init__(self, ground: Ground, sop_uid: str) -> None:
        super().__init__()
        self._ground = ground
        self._path = f"/dicom/wado/{sop_uid}"
        self.whole = 0

    def _go_on(self) -> None:
        with httpx.Client(base_url=self._ground.system.url, headers=self._ground.bearer, timeout=60) as client:
            while not (self._done.is_set() and self.whole):
                with client.stream("GET", self._path) as answer:
                    answer.raise_for_status()
                    size = sum(len(piece) for piece in answer.iter_raw())
                assert size > FRAMES * images.FRAME
                self.whole += 1


def _pss(pid: str) -> int:
    """Bytes: its own pages, and its part of those that it shares."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])


def _stored_file(ground: Ground) -> str:
    """Upload it; its SOP Instance UID."""
    path, client = ground.system.root / "large.dcm", ground.running.client()
    images.write_large(path, FRAMES)
    with path.open("rb") as file:
        answer = client.post("/dicom/upload", files={"file": file}, data={"examenID": EXAM}, timeout=300)
    path.unlink()
    data = answer.raise_for_status().json()["data"]
    registered(client, data["ID"])
    return str(data["SOPInstanceUID"])


def _show(ground: Ground, ids: list[str], wanted: int) -> int:
    """Ask for pictures until so many bytes of them were made."""
    shown = 0
    with httpx.Client(base_url=ground.system.url, headers=ground.bearer, timeout=60) as client:
        for quality, one in itertools.product(reversed(QUALITIES), ids):
            shown += len(client.get(f"/dicom/instances/{one}/preview?quality={quality}").raise_for_status().content)
            if shown >= wanted:
                break
    return shown
