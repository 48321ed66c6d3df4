"""One piece of work for all who want its outcome at the same time; it goes on when the first of them leaves."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
OutcomeT = TypeVar("OutcomeT")


class Flights(Generic[KeyT, OutcomeT]):
    """What is being worked on, by key."""

    def __init__(self) -> None:
        self._flying: dict[KeyT, asyncio.Task[OutcomeT]] = {}

    async def join(self, key: KeyT, work: Callable[[], Coroutine[Any, Any, OutcomeT]]) -> tuple[OutcomeT, bool]:
        """The outcome of the work, or what it raised, and whether it was under way before."""
        task = self._flying.get(key)
        joined = task is not None
        if task is None:
            task = asyncio.create_task(work())
            self._flying[key] = task
            task.add_done_callback(lambda ended: self._land(key, ended))
        return await asyncio.shield(task), joined

    async def aclose(self) -> None:
        """End what is under way."""
        flying = list(self._flying.values())
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)

    def _land(self, key: KeyT, ended: asyncio.Task[OutcomeT]) -> None:
        del self._flying[key]
        if not ended.cancelled():
            ended.exception()  # all who waited may have left: then nobody else asks for it
