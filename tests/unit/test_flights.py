"""One piece of work for all who want it at the same time."""

import asyncio

import pytest

from services.preview_service.flights import Flights


class Work:
    """Goes on until it is let go."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.begun = 0
        self.ended = asyncio.Event()
        self._fails = fails

    async def __call__(self) -> int:
        self.begun += 1
        await self.ended.wait()
        if self._fails:
            raise self._fails
        return self.begun


@pytest.fixture
def flights() -> Flights[str, int]:
    return Flights()


async def test_all_who_come_meanwhile_have_one_outcome(flights: Flights[str, int]) -> None:
    work = Work()
    waiting = [asyncio.create_task(flights.join("key", work)) for _ in range(200)]
    await asyncio.sleep(0)
    work.ended.set()
    outcomes = await asyncio.gather(*waiting)
    assert outcomes == [(1, False)] + [(1, True)] * 199
    assert await flights.join("key", work) == (2, False)


async def test_it_goes_on_when_the_first_leaves(flights: Flights[str, int]) -> None:
    work = Work()
    first, second = (asyncio.create_task(flights.join("key", work)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    work.ended.set()
    assert await second == (1, True)
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_it_goes_on_when_all_leave(flights: Flights[str, int]) -> None:
    work = Work()
    only = asyncio.create_task(flights.join("key", work))
    await asyncio.sleep(0)
    only.cancel()
    await asyncio.sleep(0)
    late = asyncio.create_task(flights.join("key", work))
    await asyncio.sleep(0)
    work.ended.set()
    assert await late == (1, True)


async def test_all_are_told_what_went_wrong_and_the_next_tries_anew(flights: Flights[str, int]) -> None:
    broken, sound = Work(ValueError("no")), Work()
    waiting = [asyncio.create_task(flights.join("key", broken)) for _ in range(3)]
    await asyncio.sleep(0)
    broken.ended.set()
    assert [str(one) for one in await asyncio.gather(*waiting, return_exceptions=True)] == ["no"] * 3
    sound.ended.set()
    assert await flights.join("key", sound) == (1, False)


async def test_others_do_not_wait_for_it(flights: Flights[str, int]) -> None:
    held, free = Work(), Work()
    slow = asyncio.create_task(flights.join("held", held))
    free.ended.set()
    assert await flights.join("free", free) == (1, False)
    await flights.aclose()
    assert slow.done() or await asyncio.gather(slow, return_exceptions=True)
