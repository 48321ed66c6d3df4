"""What is in flight is bounded by count and by bytes; beyond it the answer is 503, and every place comes back."""

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import ValidationError

from services.upload_service import metrics
from services.upload_service.errors import UploadsFull
from services.upload_service.places import STEP, Places, PlaceSettings
from services.upload_service.settings import Settings
from tests.unit.settings import SHARED


def places(**more: Any) -> Places:
    return Places(PlaceSettings(**more))


def test_so_many_uploads_and_not_one_more() -> None:
    few = places(uploads=2)
    with ExitStack() as stack:
        stack.enter_context(few.taken())
        stack.enter_context(few.taken())
        with pytest.raises(UploadsFull) as refused:
            stack.enter_context(few.taken())
        assert (refused.value.status, refused.value.retry_after) == (503, 5)
        assert metrics.IN_FLIGHT._value.get() == 2
    assert metrics.IN_FLIGHT._value.get() == 0
    with few.taken():
        pass


def test_bytes_held_here() -> None:
    some = places(held=100)
    with some.taken() as one:
        one.holds(60)
        one.holds(40)  # it has that already
        with some.taken() as other:
            other.holds(40)
            assert metrics.HELD._value.get() == 100
            with pytest.raises(UploadsFull):
                other.holds(41)
        one.holds(100)
    assert (some.held, metrics.HELD._value.get()) == (0, 0)


def test_bytes_on_their_way_to_orthanc() -> None:
    some = places(storing=100)
    with some.taken() as one, some.taken() as other:
        one.stores(70)
        with pytest.raises(UploadsFull):
            other.stores(31)
        other.stores(30)
        assert metrics.STORING._value.get() == 100
    assert (some.storing, metrics.STORING._value.get()) == (0, 0)


def test_what_does_not_say_how_long_it_is_grows_in_steps() -> None:
    some = places(storing=3 * STEP)
    with some.taken() as one:
        one.stores(10)
        one.stores(11, step=STEP)
        assert some.storing == 11 + STEP
        one.stores(STEP, step=STEP)
        assert some.storing == 11 + STEP
        with pytest.raises(UploadsFull):
            one.stores(2 * STEP + 1, step=STEP)
    assert some.storing == 0


def test_a_place_comes_back_whatever_happens() -> None:
    some = places(uploads=1, held=100, storing=100)
    for failure in (UploadsFull, asyncio.CancelledError, KeyError):
        with pytest.raises(failure):
            _fail(some, failure)
    assert (some.uploads, some.held, some.storing) == (0, 0, 0)


def _fail(some: Places, failure: type[BaseException]) -> None:
    with some.taken() as place:
        place.holds(90)
        place.stores(90)
        raise failure


async def test_so_many_flow_at_once_and_the_next_waits_a_while() -> None:
    some = places(flowing=1, flowing_wait_seconds=0.1)
    async with some.flowing():
        with pytest.raises(UploadsFull):
            async with some.flowing():
                pass
    async with asyncio.timeout(2), some.flowing():
        pass
    patient = places(flowing=1, flowing_wait_seconds=10)
    async with asyncio.timeout(2), patient.flowing():
        waiting = asyncio.create_task(_flow(patient))
        await asyncio.sleep(0.05)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 2)


async def _flow(some: Places) -> None:
    async with some.flowing():
        pass


def test_settings_under_which_the_largest_file_would_never_be_taken() -> None:
    Settings(**SHARED)
    with pytest.raises(ValidationError, match=r"places\.storing must be at least"):
        Settings(**{**SHARED, "upload_limit": 3 * 1024**3})
