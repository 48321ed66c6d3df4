"""An Orthanc in memory, as far as a picture goes; tests/e2e ask the real one."""

import asyncio
import io

import httpx
from PIL import Image

from shared.errors import OrthancAway
from shared.orthanc import Orthanc


class OrthancThatRenders(Orthanc):
    """Counts its renders. `status`: of its answers; `has`: whether the instance is there."""

    def __init__(self) -> None:
        self.renders = 0
        self.status = 200
        self.has = True
        self.seconds = 0.02

    async def render(
        self, _id: str, frame: int, quality: int, _type: str, _window: tuple[float, float] | None = None
    ) -> httpx.Response:
        self.renders += 1
        await asyncio.sleep(self.seconds)
        if self.status == 503:
            raise OrthancAway
        return httpx.Response(self.status, content=_jpeg(frame, quality))

    async def digest(self, _id: str) -> str | None:
        return "d" * 32 if self.has else None

    async def frames(self, _id: str) -> int | None:
        return 3 if self.has else None


def _jpeg(frame: int, quality: int) -> bytes:
    written = io.BytesIO()
    Image.new("L", (64, 32), frame * 10).save(written, "JPEG", quality=quality)
    return written.getvalue()
