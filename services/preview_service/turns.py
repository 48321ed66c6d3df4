"""Whose turn it is to have Orthanc render: so many at once, and images by turns.

One with a hundred frames does not keep the others waiting.
"""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator

from prometheus_client import Gauge

from services.preview_service.errors import RendersFull

WAITING = Gauge("examflow_preview_renders_waiting", "Renders that wait for their turn")
RUNNING = Gauge("examflow_preview_renders_running", "Renders that Orthanc is asked for")


class Turns:
    """One instance serves all requests."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._free = self._at_once = at_once
        self._most = waiting
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._count = 0

    @property
    def taken(self) -> bool:
        """Whether somebody waits, or is being rendered for."""
        return self._free < self._at_once

    @contextlib.asynccontextmanager
    async def turn(self, whose: str) -> AsyncIterator[None]:
        """Wait for a turn of this image's. Raises RendersFull where too many wait already."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(whose)
        try:
            with RUNNING.track_inprogress():
                yield
        finally:
            self._pass_on()

    async def _wait(self, whose: str) -> None:
        if self._count >= self._most:
            raise RendersFull
        mine = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(whose, deque()).append(mine)
        self._counted(1)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._pass_on()  # it came, and nobody is there
            raise

    def _pass_on(self) -> None:
        """The next turn is that of the image that has waited longest since its last one."""
        while self._waiting:
            whose, queue = self._waiting.popitem(last=False)
            following = queue.popleft()
            self._counted(-1)
            if queue:
                self._waiting[whose] = queue
            if not following.done():  # else who waited has left
                following.set_result(None)
                return
        self._free += 1

    def _counted(self, more: int) -> None:
        self._count += more
        WAITING.set(self._count)
