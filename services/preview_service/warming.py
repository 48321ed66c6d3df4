"""Which pictures of an image are made ahead, so that its first view is a hit.

The default preview, what is told of its frames, and a thumbnail: of several frames, the one in the middle.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from prometheus_client import Counter, Histogram

from services.preview_service.access import Instance
from services.preview_service.pictures import DEFAULT, Pictures
from services.preview_service.schemas import Frames
from services.preview_service.settings import WarmingSettings
from shared.errors import DependencyAway, Problem
from shared.events import DicomStored, Event
from shared.orthanc import Orthanc

log = structlog.get_logger()

WARMED = Counter("examflow_preview_warmed", "Images whose pictures were to be made ahead, by what became", ["outcome"])
LAG = Histogram(
    "examflow_preview_warm_lag_seconds",
    "From the event that an image was stored to its pictures",
    buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000),
)


class Warming:
    """Makes pictures ahead. Nothing that goes wrong here harms anyone: they are made when somebody wants them."""

    def __init__(self, pictures: Pictures, orthanc: Orthanc, settings: WarmingSettings) -> None:
        self._pictures = pictures
        self._orthanc = orthanc
        self._settings = settings

    async def warm(self, event: Event[DicomStored]) -> None:
        """Make them; while Orthanc is away, try a few times."""
        stored = event.data
        outcome = "away"
        for _ in range(self._settings.attempts):
            try:
                outcome = await self._made(stored)
                break
            except DependencyAway:
                await asyncio.sleep(self._settings.again_seconds)
            except Problem as problem:
                outcome = problem.code
                break
            except Exception as error:  # noqa: BLE001  # one strange picture would hold up all that come after it
                outcome = "failed"
                log.error("warming.failed", kind=type(error).__name__, why=str(error)[:200])
                break
        WARMED.labels(outcome).inc()
        if outcome == "made":
            LAG.observe(max(0.0, (datetime.now(UTC) - event.time).total_seconds()))
        else:
            log.info("warming.none", orthanc_id=stored.orthanc_instance_id, outcome=outcome)

    async def _made(self, stored: DicomStored) -> str:
        """The digest is Orthanc's own: a partner could name that of another image, and show its pictures to others."""
        digest = await self._orthanc.digest(stored.orthanc_instance_id)
        if digest is None:
            return "gone"
        instance = Instance(
            stored.orthanc_instance_id,
            stored.study_instance_uid,
            stored.series_instance_uid,
            stored.sop_instance_uid,
            digest,
            stored.modality or "UNKNOWN",
            exam_id=None,
        )
        told, _ = await self._pictures.frames(instance)
        middle = (Frames.model_validate_json(told.content).count + 1) // 2
        size = self._settings.thumbnail
        await self._pictures.show(instance, replace(DEFAULT, frame=middle, width=size, height=size))
        return "made"
