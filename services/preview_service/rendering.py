"""Makes a picture: Orthanc renders the frame; where a size is asked for, it is made to fit inside, never enlarged."""

import asyncio
import io
import time

from PIL import Image
from prometheus_client import Histogram

from services.preview_service.access import Instance
from services.preview_service.errors import FrameUnknown, Gone, NoPicture
from services.preview_service.negotiation import JPEG
from services.preview_service.settings import RenderSettings
from services.preview_service.turns import Turns
from services.preview_service.view import View
from shared.errors import OrthancNonsense, OrthancSlow
from shared.orthanc import Orthanc

RENDER_SECONDS = Histogram(
    "examflow_preview_render_seconds", "Time of one render by Orthanc, its turn not counted, by modality", ["modality"]
)


class Renderer:
    """Asks Orthanc for so many pictures at once. Scaling is CPU work and happens off the event loop, few at a time."""

    def __init__(self, orthanc: Orthanc, settings: RenderSettings) -> None:
        self._orthanc = orthanc
        self._seconds = settings.seconds
        self._turns = Turns(settings.at_once, settings.waiting)
        self._scaling = asyncio.Semaphore(settings.scaling_at_once)

    @property
    def busy(self) -> bool:
        """Whether Orthanc is rendering for us."""
        return self._turns.taken

    async def render(self, instance: Instance, view: View) -> bytes:
        """Orthanc's picture of the frame, as it is.

        Raises NoPicture, FrameUnknown, Gone, RendersFull, OrthancSlow, OrthancAway or OrthancNonsense.
        """
        async with self._turns.turn(instance.orthanc_id):
            began = time.perf_counter()
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._asked(instance, view)
            except TimeoutError:
                raise OrthancSlow from None
            finally:
                RENDER_SECONDS.labels(instance.modality).observe(time.perf_counter() - began)

    async def count(self, instance: Instance) -> int:
        """How many frames it has. Raises Gone, OrthancAway or OrthancNonsense."""
        count = await self._orthanc.frames(instance.orthanc_id)
        if count is None:
            raise Gone
        return count

    async def fit(self, picture: bytes, view: View) -> bytes:
        """The picture inside the view's box."""
        async with self._scaling:
            return await asyncio.to_thread(_fit, picture, view)

    async def _asked(self, instance: Instance, view: View) -> bytes:
        answer = await self._orthanc.render(
            instance.orthanc_id, view.frame - 1, view.quality, view.content_type, view.window
        )
        if answer.status_code == 200:
            return answer.content
        if answer.status_code not in (400, 404, 415):
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a preview")
        # Of a frame that there is not, Orthanc says 400, 404 or 415, by how the pixels are encoded.
        there_is_one = view.frame == 1 and answer.status_code == 415
        if not there_is_one and view.frame > await self.count(instance):
            raise FrameUnknown(frame=view.frame)
        raise NoPicture


def _fit(picture: bytes, view: View) -> bytes:
    """Aspect kept. One that fits already stays as it is, byte for byte."""
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
