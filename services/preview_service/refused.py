"""What has no picture is not asked for again and again: for a while, Orthanc's last word about a frame counts."""

import time
from collections import OrderedDict
from collections.abc import Callable

from services.preview_service.errors import FrameUnknown, NoPicture
from services.preview_service.settings import RenderSettings

Refusal = NoPicture | FrameUnknown
MOST = 10_000  # frames


class Refused:
    """Refusals by digest and frame."""

    def __init__(self, settings: RenderSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = {NoPicture: settings.no_picture_seconds, FrameUnknown: settings.no_frame_seconds}
        self._clock = clock
        self._kept: OrderedDict[tuple[str, int], tuple[type[Refusal], float]] = OrderedDict()

    def check(self, digest: str, frame: int) -> None:
        """Raise the refusal that still holds, if there is one."""
        kind, until = self._kept.get((digest, frame), (None, 0.0))
        if kind is not None and self._clock() < until:
            raise NoPicture if kind is NoPicture else FrameUnknown(frame=frame)

    def keep(self, digest: str, frame: int, refusal: Refusal) -> None:
        """Note a refusal."""
        kind = type(refusal)
        self._kept.pop((digest, frame), None)
        self._kept[digest, frame] = kind, self._clock() + self._seconds[kind]
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)
