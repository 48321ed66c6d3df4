"""Pictures that nobody has seen yet: the time of one, beside Orthanc's own for the same image."""

import time
from statistics import median

import httpx
from pydicom.uid import generate_uid

from tests.bench import images
from tests.bench.ground import PICTURE, Ground
from tests.bench.table import Row, at_most, value_at_most
from tests.bench.yardsticks import orthanc_headers

IMAGES = {2048: 16, 512: 40}
FIRST, MORE = "the first of its series", "one more of its series"


def measure(ground: Ground) -> list[Row]:
    """Medians, of images whose file Orthanc has read before; now the one is asked first, now the other.

    Each is the first that is looked at of its series, or one more of a series: rights are asked for with the first.
    """
    with (
        httpx.Client(base_url=ground.running.env["ORTHANC_URL"], headers=dict(orthanc_headers(ground))) as orthanc,
        httpx.Client(base_url=ground.system.url, headers=ground.bearer) as gateway,
    ):
        return [
            row
            for edge in IMAGES
            for which in (FIRST, MORE)
            for row in _rows(edge, which, *_times(ground, orthanc, gateway, edge, which))
        ]


def _rows(edge: int, which: str, own: float, ours: float) -> list[Row]:
    name = f"cold {edge} x {edge}, {which}"
    rows = [Row(f"{name}: Orthanc's own", own, "ms")]
    if edge == 512:
        return [
            *rows,
            Row(name, ours, "ms"),
            value_at_most(Row(f"{name}: more than Orthanc's own", ours - own, "ms"), 6),
        ]
    return [*rows, at_most(Row(name, ours, "ms", ours / own, "Orthanc"), 1.15)]


def _times(ground: Ground, orthanc: httpx.Client, gateway: httpx.Client, edge: int, which: str) -> tuple[float, float]:
    """Orthanc's and ours, in milliseconds."""
    own: list[float] = []
    ours: list[float] = []
    series = generate_uid()
    files = [images.ct(edge, series=series if which == MORE else generate_uid()) for _ in range(IMAGES[edge] + 1)]
    seen, *ids = ground.stored(files)
    _time(gateway, f"/dicom/instances/{seen}/{PICTURE}")
    for number, one in enumerate(ids):
        _time(orthanc, f"/instances/{one}/{PICTURE}")
        asked = [(orthanc, f"/instances/{one}/{PICTURE}", own), (gateway, f"/dicom/instances/{one}/{PICTURE}", ours)]
        for client, path, times in asked if number % 2 else reversed(asked):
            times.append(_time(client, path))
    return median(own), median(ours)


def _time(client: httpx.Client, path: str) -> float:
    began = time.perf_counter()
    client.get(path).raise_for_status()
    return 1000 * (time.perf_counter() - began)
