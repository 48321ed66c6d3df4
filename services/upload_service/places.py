"""How many uploads may be in flight, and how many bytes of them: here, and on their way into Orthanc's memory.

What is beyond is refused at once, with 503 and Retry-After: a queue of bodies would only be another buffer.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from pydantic import BaseModel, Field

from services.upload_service import metrics
from services.upload_service.errors import UploadsFull

MIB = 1024 * 1024
STEP = 16 * MIB  # by which the share of an upload grows that does not say how long it is


class PlaceSettings(BaseModel):
    """The most that may be in flight at once."""

    uploads: int = Field(400, ge=1, description="uploads")
    held: int = Field(48 * MIB, ge=1, description="bytes of them that this service holds")
    storing: int = Field(
        2560 * MIB, ge=1, description="bytes on their way to Orthanc, which holds them three times over"
    )
    flowing: int = Field(
        24, ge=1, description="files that flow to Orthanc, each on a thread of its; below its connections"
    )
    flowing_wait_seconds: float = Field(50.0, ge=0, description="the longest that a file waits before it flows")


class Places:
    """What is in flight. One instance serves all requests."""

    def __init__(self, settings: PlaceSettings) -> None:
        self._settings = settings
        self._flowing = asyncio.Semaphore(settings.flowing)
        self.uploads = self.held = self.storing = 0

    @contextlib.contextmanager
    def taken(self) -> Iterator["Place"]:
        """A place for one upload. Raises UploadsFull."""
        if self.uploads >= self._settings.uploads:
            raise UploadsFull
        self.uploads += 1
        metrics.IN_FLIGHT.set(self.uploads)
        place = Place(self)
        try:
            yield place
        finally:
            place.leave()
            self.uploads -= 1
            metrics.IN_FLIGHT.set(self.uploads)

    def hold(self, more: int) -> None:
        """Count bytes that are held here; less than none: that are not any more."""
        if more > 0 and self.held + more > self._settings.held:
            raise UploadsFull
        self.held += more
        metrics.HELD.set(self.held)

    def store(self, more: int) -> None:
        """Count bytes on their way to Orthanc."""
        if more > 0 and self.storing + more > self._settings.storing:
            raise UploadsFull
        self.storing += more
        metrics.STORING.set(self.storing)

    @contextlib.asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """One of the connections to Orthanc for what flows. Raises UploadsFull where none is free in time."""
        try:
            async with asyncio.timeout(self._settings.flowing_wait_seconds):
                await self._flowing.acquire()
        except TimeoutError:
            raise UploadsFull from None
        try:
            yield
        finally:
            self._flowing.release()


class Place:
    """What one upload has of it; it only grows until the upload leaves."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._held = self._stored = 0
        self.flowing = places.flowing

    def holds(self, size: int) -> None:
        """Have room for so many bytes here. Raises UploadsFull."""
        if size > self._held:
            self._places.hold(size - self._held)
            self._held = size

    def stores(self, size: int, *, step: int = 0) -> None:
        """Have room for so many bytes in Orthanc, and for `step` more where there was none. Raises UploadsFull."""
        if size > self._stored:
            self._places.store(size + step - self._stored)
            self._stored = size + step

    def leave(self) -> None:
        """Give all of it back."""
        self._places.hold(-self._held)
        self._places.store(-self._stored)
        self._held = self._stored = 0
