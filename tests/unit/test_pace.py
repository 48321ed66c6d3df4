"""A body that comes too slowly is cut, by the limit that it breaks; time that the service needs does not count."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

import pytest

from services.upload_service import metrics
from services.upload_service.errors import SentTooSlowly
from services.upload_service.pace import PaceSettings, paced

SETTINGS = PaceSettings(first_byte_seconds=0.2, window_seconds=0.2, least_rate=1000, whole_seconds=30)


async def body(pieces: Iterable[tuple[float, int]]) -> AsyncIterator[bytes]:
    """Pieces of this many bytes, each after a pause."""
    for pause, size in pieces:
        await asyncio.sleep(pause)
        yield b"x" * size


async def came(pieces: Iterable[tuple[float, int]], settings: PaceSettings = SETTINGS, busy: float = 0) -> int:
    total = 0
    async for piece in paced(body(pieces), settings):
        total += len(piece)
        await asyncio.sleep(busy)
    return total


def cuts(limit: str) -> float:
    return float(metrics.CUT.labels(limit)._value.get())


@pytest.mark.parametrize(
    ("pieces", "limit", "words"),
    [
        ([(1, 10)], "first-byte", "did not begin within 0.2 s"),
        ([(0, 10), (1, 10)], "rate", "less than 1000 bytes a second"),
        ([(0, 1_000_000), (1, 10)], "rate", "less than 1000 bytes a second"),
        ([(0.05, 10)] * 100, "rate", "less than 1000 bytes a second"),
        ([(0.01, 1)] * 500, "rate", "less than 1000 bytes a second"),
    ],
)
async def test_who_is_too_slow_is_cut(pieces: list[tuple[float, int]], limit: str, words: str) -> None:
    before = cuts(limit)
    async with asyncio.timeout(3):
        with pytest.raises(SentTooSlowly, match=words) as refused:
            await came(pieces)
    assert refused.value.status == 408
    assert cuts(limit) == before + 1


async def test_a_whole_upload_has_an_end_however_steady_it_is() -> None:
    steady = SETTINGS.model_copy(update={"whole_seconds": 0.5})
    before = cuts("whole")
    async with asyncio.timeout(3):
        with pytest.raises(SentTooSlowly, match=r"more than 0\.5 s"):
            await came([(0.02, 1000)] * 1000, steady)
    assert cuts("whole") == before + 1


@pytest.mark.parametrize(
    "pieces", [[], [(0, 0)], [(0.1, 1)], [(0.02, 1000)] * 50, [(0.3, 10_000)] * 5, [(0, 1)] * 1000]
)
async def test_who_is_fast_enough_is_not(pieces: list[tuple[float, int]]) -> None:
    patient = SETTINGS.model_copy(update={"first_byte_seconds": 0.6, "window_seconds": 0.6})
    async with asyncio.timeout(10):
        assert await came(pieces, patient) == sum(size for _, size in pieces)


async def test_time_that_the_service_needs_is_not_the_senders() -> None:
    async with asyncio.timeout(10):
        assert await came([(0, 10)] * 10, busy=0.1) == 100


async def test_it_may_be_read_by_one_task_after_another() -> None:
    pieces = paced(body([(0, 10), (0, 10), (1, 10)]), SETTINGS)
    assert await anext(pieces) == b"x" * 10

    async def rest() -> None:
        async for _ in pieces:
            pass

    task = asyncio.create_task(rest())
    with contextlib.suppress(SentTooSlowly):
        await asyncio.wait_for(task, 3)
    assert isinstance(task.exception(), SentTooSlowly)
