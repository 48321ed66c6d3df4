"""One thread with an event loop: the proxies and the clients run in it while a test deals with the faults."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


class Background:
    """Runs coroutines beside the test, which itself stays plain, sequential code."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lab", daemon=True)
        self._thread.start()

    def begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start it and go on."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T], seconds: float = 60.0) -> T:
        """Wait for what it returns."""
        return self.begin(work).result(timeout=seconds)

    def call(self, function: Callable[[], T]) -> T:
        """Run a plain function between two steps of the loop, so that it races with nothing in it."""

        async def called() -> T:
            return function()

        return self.run(called())

    def close(self) -> None:
        """End what still runs, then the thread."""
        self.run(_end_the_rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()


async def _end_the_rest() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
