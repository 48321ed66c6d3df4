"""How many renders there are at once, and whose is next."""

import asyncio

import pytest

from services.preview_service.errors import RendersFull
from services.preview_service.turns import Turns


class Theatre:
    """Renders that end when they are told to."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.order: list[str] = []
        self.at_once = self.most = 0
        self.go_on = asyncio.Semaphore(0)
        self.tasks: list[asyncio.Task[None]] = []

    async def _render(self, whose: str) -> None:
        async with self.turns.turn(whose):
            self.order.append(whose)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            await self.go_on.acquire()
            self.at_once -= 1

    async def come(self, *whose: str) -> list[asyncio.Task[None]]:
        begun = [asyncio.create_task(self._render(one)) for one in whose]
        self.tasks += begun
        await settled()
        return begun

    async def end_all(self) -> None:
        for _ in self.tasks:
            self.go_on.release()
        await asyncio.wait_for(asyncio.gather(*self.tasks, return_exceptions=True), 5)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_so_many_at_once() -> None:
    theatre = Theatre(Turns(at_once=4, waiting=100))
    await theatre.come(*"abcdefghij")
    assert theatre.at_once == 4
    await theatre.end_all()
    assert (theatre.most, len(theatre.order)) == (4, 10)


async def test_images_by_turns() -> None:
    theatre = Theatre(Turns(at_once=1, waiting=100))
    await theatre.come("long", "long", "long", "long", "short", "other", "short")
    await theatre.end_all()
    assert theatre.order == ["long", "long", "short", "other", "long", "short", "long"]


async def test_too_many_that_wait_are_refused() -> None:
    theatre = Theatre(Turns(at_once=1, waiting=2))
    *_, third = await theatre.come("a", "b", "c", "d")
    with pytest.raises(RendersFull):
        await third
    await theatre.end_all()
    assert theatre.order == ["a", "b", "c"]


async def test_who_leaves_the_queue_takes_no_turn() -> None:
    theatre = Theatre(Turns(at_once=1, waiting=100))
    _, leaving, _ = await theatre.come("a", "b", "c")
    leaving.cancel()
    await settled()
    await theatre.end_all()
    assert theatre.order == ["a", "c"]
    await theatre.come("d")
    assert theatre.order[-1] == "d"


async def test_who_leaves_as_the_turn_comes_passes_it_on() -> None:
    theatre = Theatre(Turns(at_once=1, waiting=100))
    _, leaving, _ = await theatre.come("a", "b", "c")
    theatre.go_on.release()
    await asyncio.sleep(0)  # a is awake, and passes its turn on in this step
    await asyncio.sleep(0)
    leaving.cancel()
    await settled()
    await theatre.end_all()
    assert theatre.order[-1] == "c"
    await theatre.come("d")
    assert theatre.order[-1] == "d"
