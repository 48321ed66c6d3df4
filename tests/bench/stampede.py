"""Two hundred who want the same picture at the same moment, and nobody has seen it yet."""

from statistics import median

from tests.bench import images
from tests.bench.ground import Ground
from tests.bench.table import Row, value_at_most
from tests.bench.wrk import load

CALLERS, IMAGES = 200, 5


def measure(ground: Ground) -> list[Row]:
    """Medians over a few images, each asked for once; the limit is that of each run."""
    seen, *ids = ground.stored([images.ct() for _ in range(IMAGES + 1)])
    load(ground.system.url, ground.views([seen]), 32, 2)  # connections, and one picture
    renders, slowest, limits = [], [], []
    for one in ids:
        before = ground.renders()
        found = load(ground.system.url, ground.views([one]), CALLERS, 30, only=CALLERS)
        count, seconds = (after - was for after, was in zip(ground.renders(), before, strict=True))
        warm = load(ground.system.url, ground.views([one]), 32, 2)
        assert found.requests == CALLERS
        renders.append(count)
        slowest.append(found.p99)
        limits.append(1.3 * 1000 * (seconds + CALLERS / warm.rate))
    name = f"{CALLERS} equal requests at once, cold"
    return [
        value_at_most(Row(f"{name}: renders", max(renders), "renders"), 1),
        Row(f"{name}: 1.3 x (the render + {CALLERS} / warm rate)", median(limits), "ms"),
        value_at_most(Row(f"{name}: p99", median(slowest), "ms"), median(limits)),
    ]
