"""A CancelledError from elsewhere is a lost connection; our own cancellation and time limit stay what they are."""

import asyncio
import contextlib

import pytest

from shared.cancellation import only_ours, within
from shared.service import every


async def test_a_cancellation_from_elsewhere_is_a_lost_connection() -> None:
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    lost.set_exception(asyncio.CancelledError())
    with pytest.raises(ConnectionError):
        async with within(5):
            await lost


async def test_our_own_is_none() -> None:
    began = asyncio.Event()

    async def waiting() -> None:
        with only_ours():
            began.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(waiting())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_time_limit_is_a_time_limit() -> None:
    with pytest.raises(TimeoutError):
        async with within(0.01):
            await asyncio.sleep(60)


async def test_it_ends_no_background_task() -> None:
    done = asyncio.Event()
    times = iter(range(3))

    async def work() -> None:
        if next(times) == 2:
            done.set()
        raise asyncio.CancelledError

    task = asyncio.create_task(every(0, work, "test"))
    async with asyncio.timeout(5):
        await done.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
