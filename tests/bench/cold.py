"""Pictures that nobody has seen yet: the time of one, beside Orthanc's own for the same image."""

import time
from statistics import median

import httpx

from tests.bench import images
from tests.bench.ground import PICTURE, Ground
from tests.bench.table import Row, at_most, value_at_most
from tests.bench.yardsticks import orthanc_headers

IMAGES = {2048: 16, 512: 40}


def measure(ground: Ground) -> list[Row]:
    """Medians, of images whose file Orthanc has read before; now the one is asked first, now the other."""
    with (
        httpx.Client(base_url=ground.running.env["ORTHANC_URL"], headers=dict(orthanc_headers(ground))) as orthanc,
        httpx.Client(base_url=ground.system.url, headers=ground.bearer) as gateway,
    ):
        large, small = (_times(ground, orthanc, gateway, edge) for edge in (2048, 512))
    own, ours = large
    rows = [Row("cold 2048 x 2048, Orthanc's own", own, "ms")]
    rows.append(at_most(Row("cold 2048 x 2048", ours, "ms", ours / own, "Orthanc"), 1.15))
    own, ours = small
    rows.append(Row("cold 512 x 512, Orthanc's own", own, "ms"))
    rows.append(Row("cold 512 x 512", ours, "ms", ours / own, "Orthanc"))
    return [*rows, value_at_most(Row("cold 512 x 512, more than Orthanc's own", ours - own, "ms"), 6)]


def _times(ground: Ground, orthanc: httpx.Client, gateway: httpx.Client, edge: int) -> tuple[float, float]:
    """Orthanc's and ours, in milliseconds."""
    own: list[float] = []
    ours: list[float] = []
    for number, one in enumerate(ground.stored([images.ct(edge) for _ in range(IMAGES[edge])])):
        _time(orthanc, f"/instances/{one}/{PICTURE}")
        asked = [(orthanc, f"/instances/{one}/{PICTURE}", own), (gateway, f"/dicom/instances/{one}/{PICTURE}", ours)]
        for client, path, times in asked if number % 2 else reversed(asked):
            times.append(_time(client, path))
    return median(own), median(ours)


def _time(client: httpx.Client, path: str) -> float:
    began = time.perf_counter()
    client.get(path).raise_for_status()
    return 1000 * (time.perf_counter() - began)
