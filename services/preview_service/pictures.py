"""Where a picture comes from: made before, being made for somebody else, or made now; each is made once."""

import io
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from PIL import Image
from prometheus_client import Counter

from services.preview_service.access import Instance
from services.preview_service.cache import Cache
from services.preview_service.errors import FrameUnknown, Gone, NoPicture
from services.preview_service.flights import Flights
from services.preview_service.negotiation import JPEG
from services.preview_service.refused import Refused
from services.preview_service.rendering import Renderer
from services.preview_service.schemas import Frames
from services.preview_service.settings import RenderSettings
from services.preview_service.view import Key, Picture, View

From = Literal["hit", "collapsed", "miss"]
DEFAULT = View(frame=1, quality=90, width=None, height=None, content_type=JPEG)
JOINED = Counter("examflow_preview_joined", "Requests that waited for what was being made for another")


class Pictures:
    """Shows pictures. One instance serves all requests. What it raises, Renderer.render tells."""

    def __init__(self, renderer: Renderer, cache: Cache, settings: RenderSettings) -> None:
        self._renderer = renderer
        self._cache = cache
        self._refused = Refused(settings)
        self._flights: Flights[Key, tuple[Picture, From]] = Flights()

    async def aclose(self) -> None:
        """End what is being made."""
        await self._flights.aclose()

    async def show(self, instance: Instance, view: View) -> tuple[Picture, From]:
        """The picture, and where it came from."""
        return await self._once(view.key(instance.digest), lambda: self._made(instance, view))

    async def frames(self, instance: Instance) -> tuple[Picture, From]:
        """How many frames there are and their size, as JSON (schemas.Frames)."""
        return await self._once(frames_key(instance), lambda: self._counted(instance))

    async def _once(self, key: Key, make: Callable[[], Awaitable[bytes]]) -> tuple[Picture, From]:
        found = self._cache.in_memory(key)
        if found is not None:
            return found, "hit"
        (picture, source), joined = await self._flights.join(key, lambda: self._found_or_made(key, make))
        if joined:
            JOINED.inc()
        return picture, "collapsed" if joined and source == "miss" else source

    async def _found_or_made(self, key: Key, make: Callable[[], Awaitable[bytes]]) -> tuple[Picture, From]:
        """In one flight: nobody reads the same file from the disk at the same time either."""
        found = await self._cache.on_disk(key)
        if found is not None:
            return found, "hit"
        picture = Picture(await make(), time.time())
        await self._cache.keep(key, picture)
        return picture, "miss"

    async def _made(self, instance: Instance, view: View) -> bytes:
        if view != view.unscaled():
            whole, _ = await self.show(instance, view.unscaled())
            return await self._renderer.fit(whole.content, view)
        self._refused.check(instance.digest, view.frame)
        try:
            return await self._renderer.render(instance, view)
        except (NoPicture, FrameUnknown) as refusal:
            self._refused.keep(instance.digest, view.frame, refusal)
            raise
        except Gone:
            await self._cache.purge(instance.digest)
            raise

    async def _counted(self, instance: Instance) -> bytes:
        """The size is that of the picture, which whoever asks for it wants next."""
        shown, _ = await self.show(instance, DEFAULT)
        with Image.open(io.BytesIO(shown.content)) as image:
            width, height = image.size
        count = await self._renderer.count(instance)
        return Frames(count=count, width=width, height=height).model_dump_json().encode()


def frames_key(instance: Instance) -> Key:
    """What the answer about an instance's frames is kept under."""
    return Key.of(instance.digest, "frames")
