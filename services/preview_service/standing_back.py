"""When pictures may be made ahead: not while images pour in, registration has a backlog, or somebody waits for one.

A picture that is made ahead takes processor time from all of these. So as not to stand back for ever, one is made now
and then whatever happens.
"""

import asyncio
import time
from collections.abc import Callable

from services.preview_service.settings import WarmingSettings


class StandingBack:
    """What is known of the work of others. `viewers` tells whether somebody waits for a picture."""

    def __init__(
        self, settings: WarmingSettings, viewers: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._viewers = viewers
        self._clock = clock
        self._taken = 0
        self._before: tuple[float, int, int] | None = None  # the last look: when, how many waited and were taken
        self._busy = False

    def taken(self) -> None:
        """A message was taken from the queue."""
        self._taken += 1

    def looked(self, waiting: int, backlog: int) -> None:
        """So many messages wait in the queue, and so many in registration's."""
        now = self._clock()
        pouring = False
        if self._before is not None:
            when, waited, taken = self._before
            arrived = waiting - waited + self._taken - taken
            pouring = arrived > self._settings.pouring_per_second * (now - when)
        self._before = now, waiting, self._taken
        self._busy = pouring or backlog > self._settings.backlog

    async def wait(self) -> None:
        """Return when a picture may be made."""
        until = self._clock() + self._settings.patience_seconds
        while (self._busy or self._viewers()) and self._clock() < until:
            await asyncio.sleep(self._settings.look_seconds / 10)
