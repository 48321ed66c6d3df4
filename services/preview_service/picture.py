"""A picture of one frame: Orthanc renders it; where a size is asked for, it is made to fit inside, never enlarged."""

import asyncio
import hashlib
import io
import time
from dataclasses import dataclass

from PIL import Image
from prometheus_client import Histogram

from services.preview_service.access import Instance
from services.preview_service.errors import FrameUnknown, Gone, NoPicture
from services.preview_service.negotiation import JPEG
from shared.errors import OrthancNonsense
from shared.orthanc import Orthanc

RENDERER = "1"  # part of the ETag: a change in how pictures are made changes it
RENDER_SECONDS = Histogram(
    "examflow_preview_render_seconds", "Time of one render, Orthanc's and scaling, by modality", ["modality"]
)


@dataclass(frozen=True)
class View:
    """How a frame is to be shown: frame from 1, JPEG quality, the box to fit inside (None: Orthanc's own size)."""

    frame: int
    quality: int
    width: int | None
    height: int | None
    content_type: str

    def etag(self, instance: Instance) -> str:
        """A strong validator: the stored file's digest and all that shapes the picture."""
        parts = (instance.digest, self.frame, self.quality, self.width, self.height, self.content_type, RENDERER)
        return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'


class Pictures:
    """Makes pictures; scaling is CPU work and happens off the event loop, few at a time."""

    def __init__(self, orthanc: Orthanc, scaling_at_once: int) -> None:
        self._orthanc = orthanc
        self._scaling = asyncio.Semaphore(scaling_at_once)

    async def make(self, instance: Instance, view: View) -> bytes:
        """The encoded picture. Raises NoPicture, FrameUnknown, Gone, OrthancAway or OrthancNonsense."""
        began = time.perf_counter()
        picture = await self._render(instance, view)
        if view.width or view.height:
            async with self._scaling:
                picture = await asyncio.to_thread(_fit, picture, view)
        RENDER_SECONDS.labels(instance.modality).observe(time.perf_counter() - began)
        return picture

    async def _render(self, instance: Instance, view: View) -> bytes:
        answer = await self._orthanc.render(instance.orthanc_id, view.frame - 1, view.quality, view.content_type)
        if answer.status_code == 200:
            return answer.content
        if answer.status_code == 415:
            raise NoPicture
        if answer.status_code in (400, 404):
            if await self._orthanc.digest(instance.orthanc_id) is None:
                raise Gone
            raise FrameUnknown(frame=view.frame)
        raise OrthancNonsense(what=f"HTTP {answer.status_code} to a preview")


def _fit(picture: bytes, view: View) -> bytes:
    """The picture inside the box, aspect kept. One that fits already stays as it is, byte for byte."""
    with Image.open(io.BytesIO(picture)) as image:
        box = (view.width or image.width, view.height or image.height)
        if image.width <= box[0] and image.height <= box[1]:
            return picture
        image.thumbnail(box, Image.Resampling.LANCZOS)
        encoded = io.BytesIO()
        if view.content_type == JPEG:
            image.save(encoded, "JPEG", quality=view.quality)
        else:
            image.save(encoded, "PNG")
        return encoded.getvalue()
