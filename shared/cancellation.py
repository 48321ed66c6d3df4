"""A CancelledError that is not meant for the task in which it is raised."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator


@contextlib.contextmanager
def only_ours() -> Iterator[None]:
    """Make a ConnectionError of a CancelledError with which nobody cancelled this task.

    aiormq hands its own reader's cancellation to whoever waits on a connection that fell silent. No `except Exception`
    sees it: it would end a request without an answer, and a background task for good.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionError("the connection was given up") from error


@contextlib.asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """The same, and a TimeoutError after so many seconds."""
    with only_ours():
        async with asyncio.timeout(seconds):
            yield
