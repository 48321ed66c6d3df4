"""Twenty doctors who open series of images: how long each waits for a picture, made ahead or not."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from statistics import quantiles

from httpx_aiohttp import HttpxAiohttpClient
from pydicom.uid import generate_uid

from services.preview_service.consumers import STORED_QUEUE
from tests.bench import images
from tests.bench.ground import PICTURE, Ground
from tests.bench.table import Row
from tests.integration.queues import ready
from tests.running import eventually

SERIES, EACH, VIEWERS = 50, 20, 20


def measure(ground: Ground) -> list[Row]:
    """The first look at each picture. A viewer asks for the images of a series one after the other, as one scrolls."""
    rows = []
    for on, words in (("false", "made when asked for"), ("true", "made ahead")):
        # What was stored while nothing was made ahead waits in the queue before the images of this row.
        left = asyncio.run(ready(ground.system, [STORED_QUEUE])).get(STORED_QUEUE, 0)
        ground.restarted(EXAMFLOW_WARMING__ON=on)
        if on == "true":
            _wait_for(ground, left)
        began = time.monotonic()
        series = _stored(ground)
        if on == "true":
            _wait_for(ground, left + SERIES * EACH)
            took = time.monotonic() - began
            rows.append(Row(f"{SERIES * EACH} images uploaded and their pictures made ahead", took, "s"))
        rows += _rows(asyncio.run(_opened(ground, series)), words)
    return rows


def _wait_for(ground: Ground, number: int) -> None:
    """Until so many images were taken from the queue since preview's start, and their pictures made."""
    eventually(lambda: ground.counted("examflow_preview_warmed_total") >= number, 300, "pictures made ahead")


def _stored(ground: Ground) -> list[list[str]]:
    uids = [generate_uid() for _ in range(SERIES)]
    ids = ground.stored(images.ct(series=uid) for uid in uids for _ in range(EACH))
    return [ids[at : at + EACH] for at in range(0, len(ids), EACH)]


async def _opened(ground: Ground, series: Sequence[Sequence[str]]) -> list[float]:
    """How long each picture took, in milliseconds."""
    closed = iter(series)
    async with HttpxAiohttpClient(base_url=ground.system.url, headers=ground.bearer, timeout=60) as client:
        seen = await asyncio.gather(*(_view(client, closed) for _ in range(VIEWERS)))
    return [ms for times in seen for ms in times]


async def _view(client: HttpxAiohttpClient, closed: Iterator[Sequence[str]]) -> list[float]:
    """Open a series that nobody has opened, and another, until there is none."""
    times = []
    for series in closed:
        for one in series:
            began = time.perf_counter()
            answer = await client.get(f"/dicom/instances/{one}/{PICTURE}")
            answer.raise_for_status()
            times.append(1000 * (time.perf_counter() - began))
    return times


def _rows(times: Sequence[float], words: str) -> list[Row]:
    cuts = quantiles(times, n=100, method="inclusive")
    name = f"{SERIES * EACH} images of {SERIES} series, {VIEWERS} viewers, {words}"
    return [Row(f"{name}: {what}", cuts[at - 1], "ms") for what, at in (("p50", 50), ("p95", 95), ("p99", 99))]
