"""So many at once, and who does not come to it in time is told to try again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from services.preview_service.errors import RendersFull


class Places:
    """One instance for each kind of work."""

    def __init__(self, at_once: int, patience_seconds: float) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._patience = patience_seconds

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold one. Raises RendersFull."""
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except TimeoutError:
            raise RendersFull from None
        try:
            yield
        finally:
            self._free.release()
