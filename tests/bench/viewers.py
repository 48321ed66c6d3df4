"""Twenty doctors who open series of images: how long each waits for a picture, made ahead or not."""

import queue
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles

import httpx
from pydicom.uid import generate_uid

from tests.bench import images
from tests.bench.ground import PICTURE, Ground
from tests.bench.table import Row
from tests.running import eventually

SERIES, EACH, VIEWERS = 50, 20, 20


def measure(ground: Ground) -> list[Row]:
    """The first look at each picture. A viewer asks for the images of a series one after the other, as one scrolls."""
    rows = []
    for on, words in (("false", "made when asked for"), ("true", "made ahead")):
        ground.restarted(EXAMFLOW_WARMING__ON=on)
        began, warmed = time.monotonic(), ground.counted("examflow_preview_warmed_total")
        series = _stored(ground)
        if on == "true":
            _wait_for(ground, warmed + SERIES * EACH)
            took = time.monotonic() - began
            rows.append(Row(f"{SERIES * EACH} images uploaded and their pictures made ahead", took, "s"))
        rows += _rows(_opened(ground, series), words)
    return rows


def _wait_for(ground: Ground, warmed: float) -> None:
    eventually(lambda: ground.counted("examflow_preview_warmed_total") >= warmed, 300, "pictures made ahead")


def _stored(ground: Ground) -> list[list[str]]:
    uids = [generate_uid() for _ in range(SERIES)]
    ids = ground.stored(images.ct(series=uid) for uid in uids for _ in range(EACH))
    return [ids[at : at + EACH] for at in range(0, len(ids), EACH)]


def _opened(ground: Ground, series: Sequence[Sequence[str]]) -> list[float]:
    """How long each picture took, in milliseconds."""
    waiting: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()
    for one in series:
        waiting.put(one)
    bearer = ground.bearer

    def view(_: int) -> list[float]:
        times = []
        with httpx.Client(base_url=ground.system.url, headers=bearer, timeout=60, trust_env=False) as client:
            while not waiting.empty():
                try:
                    ids = waiting.get_nowait()
                except queue.Empty:
                    break
                times += [_time(client, one) for one in ids]
        return times

    with ThreadPoolExecutor(VIEWERS) as pool:
        return [ms for times in pool.map(view, range(VIEWERS)) for ms in times]


def _time(client: httpx.Client, orthanc_id: str) -> float:
    began = time.perf_counter()
    client.get(f"/dicom/instances/{orthanc_id}/{PICTURE}").raise_for_status()
    return 1000 * (time.perf_counter() - began)


def _rows(times: Sequence[float], words: str) -> list[Row]:
    cuts = quantiles(times, n=100, method="inclusive")
    name = f"{SERIES * EACH} images of {SERIES} series, {VIEWERS} viewers, {words}"
    return [Row(f"{name}: {what}", cuts[at - 1], "ms") for what, at in (("p50", 50), ("p95", 95), ("p99", 99))]
