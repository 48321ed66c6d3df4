"""When pictures are made ahead, and when it stands back for the work of others."""

import asyncio
import time

import pytest

from services.preview_service.settings import WarmingSettings
from services.preview_service.standing_back import StandingBack

SETTINGS = WarmingSettings(pouring_per_second=5, backlog=50, patience_seconds=0.3, look_seconds=0.05)


class Others:
    """What goes on elsewhere, and the clock of the looks."""

    def __init__(self) -> None:
        self.viewers = False
        self.now = 0.0
        self.standing_back = StandingBack(SETTINGS, lambda: self.viewers, lambda: self.now)

    def look(self, waiting: int, backlog: int = 0) -> None:
        self.now += 1
        self.standing_back.looked(waiting, backlog)

    async def stands_back(self) -> bool:
        waiting = asyncio.create_task(self.standing_back.wait())
        await asyncio.sleep(0.03)
        stands = not waiting.done()
        waiting.cancel()
        return stands


@pytest.fixture
def others() -> Others:
    return Others()


async def test_at_rest_it_goes_ahead(others: Others) -> None:
    assert not await others.stands_back()
    others.look(waiting=10_000)  # what was there before the first look did not pour in since
    assert not await others.stands_back()
    others.look(waiting=10_000)
    assert not await others.stands_back()


async def test_while_images_pour_in(others: Others) -> None:
    others.look(waiting=0)
    others.look(waiting=6)
    assert await others.stands_back()
    others.look(waiting=6)
    assert not await others.stands_back()


async def test_what_was_taken_meanwhile_has_come_too(others: Others) -> None:
    others.look(waiting=10)
    for _ in range(10):
        others.standing_back.taken()
    others.look(waiting=0)
    assert not await others.stands_back()  # they were there before
    for _ in range(10):
        others.standing_back.taken()
    others.look(waiting=0)
    assert await others.stands_back()


async def test_while_registration_has_a_backlog(others: Others) -> None:
    others.look(waiting=0, backlog=51)
    assert await others.stands_back()
    others.look(waiting=0, backlog=50)
    assert not await others.stands_back()


async def test_while_somebody_waits_for_a_picture(others: Others) -> None:
    others.viewers = True
    assert await others.stands_back()
    others.viewers = False
    assert not await others.stands_back()


async def test_it_goes_on_as_soon_as_it_may(others: Others) -> None:
    others.viewers = True
    waiting = asyncio.create_task(others.standing_back.wait())
    await asyncio.sleep(0.02)
    others.viewers = False
    await asyncio.wait_for(waiting, 5)


async def test_it_does_not_stand_back_for_ever() -> None:
    patient = StandingBack(SETTINGS, lambda: True, time.monotonic)
    await asyncio.wait_for(patient.wait(), 5)
