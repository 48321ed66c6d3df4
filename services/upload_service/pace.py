"""How slowly a body may come: a sender that stalls or drips is cut, and holds neither place nor thread of Orthanc's.

Only the time spent waiting for the sender counts, not that in which Orthanc is waited for.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Literal

from pydantic import BaseModel, Field

from services.upload_service import metrics
from services.upload_service.errors import SentTooSlowly

Why = Literal["first-byte", "rate", "whole"]


class PaceSettings(BaseModel):
    """The slowest that a body may come."""

    first_byte_seconds: float = Field(15.0, gt=0, description="the longest wait for the body's first byte")
    window_seconds: float = Field(15.0, gt=0, description="the longest wait for more; what is averaged over")
    least_rate: int = Field(16 * 1024, ge=0, description="bytes a second, averaged over a window of waiting")
    whole_seconds: float = Field(3600.0, gt=0, description="the longest that a whole upload may take")


async def paced(body: AsyncIterator[bytes], settings: PaceSettings) -> AsyncIterator[bytes]:
    """The same body, as long as it comes fast enough. Raises SentTooSlowly."""
    ends = time.monotonic() + settings.whole_seconds
    why: Why = "first-byte"
    patience, waited, came = settings.first_byte_seconds, 0.0, 0
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(min(patience, ends - began)):
                piece = await anext(body, None)
        except TimeoutError:
            raise _cut(why if patience < ends - began else "whole", settings) from None
        if piece is None:
            return
        waited, came = waited + time.monotonic() - began, came + len(piece)
        if why == "first-byte" or waited >= settings.window_seconds:
            if why == "rate" and came < settings.least_rate * waited:
                raise _cut("rate", settings)
            why, patience, waited, came = "rate", settings.window_seconds, 0.0, 0
        yield piece


def _cut(why: Why, settings: PaceSettings) -> SentTooSlowly:
    metrics.CUT.labels(why).inc()
    en, fr = {
        "first-byte": (
            f"its body did not begin within {settings.first_byte_seconds:g} s",
            f"son corps n'a pas commencé en {settings.first_byte_seconds:g} s",
        ),
        "rate": (
            f"less than {settings.least_rate} bytes a second over {settings.window_seconds:g} s",
            f"moins de {settings.least_rate} octets par seconde sur {settings.window_seconds:g} s",
        ),
        "whole": (
            f"it took more than {settings.whole_seconds:g} s",
            f"il a pris plus de {settings.whole_seconds:g} s",
        ),
    }[why]
    return SentTooSlowly(what_en=en, what_fr=fr)
