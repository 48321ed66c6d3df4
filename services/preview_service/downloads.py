"""Answers that flow, and how slowly one may be taken: who stalls or drips is cut, and holds no thread of Orthanc's.

Only the time spent waiting for the reader counts, not that in which Orthanc is waited for. Who was cut while reading a
file can go on where it ended, with Range (RFC 9110, 14).
"""

import asyncio
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping

import structlog
from fastapi.responses import StreamingResponse
from prometheus_client import Counter
from starlette.background import BackgroundTask
from starlette.types import Message, Receive, Scope, Send

from services.preview_service.settings import DownloadSettings

log = structlog.get_logger()

CUT = Counter("examflow_downloads_cut", "Answers that were not taken fast enough")


class Download(StreamingResponse):
    """An answer that flows. `close` is called at its end, whichever that is, perhaps twice."""

    def __init__(
        self,
        pieces: AsyncIterable[bytes],
        settings: DownloadSettings,
        *,
        kind: str,
        headers: Mapping[str, str],
        close: Callable[[], Awaitable[None]],
        status: int = 200,
    ) -> None:
        super().__init__(pieces, status, headers=headers, media_type=kind, background=BackgroundTask(close))
        self._settings = settings
        self._closed = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starlette itself closes only where nothing was raised."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._closed()

    async def stream_response(self, send: Send) -> None:
        """One that is cut has no end: the server closes the connection, and the reader sees that it is not whole."""
        try:
            await super().stream_response(_Paced(send, self._settings))
        except TakenTooSlowly:
            CUT.inc()
            log.warning("download.cut", why="it was not taken fast enough")


class TakenTooSlowly(Exception):
    """The reader did not take what was sent."""


class _Paced:
    """Sends, as long as it is taken fast enough."""

    def __init__(self, send: Send, settings: DownloadSettings) -> None:
        self._send = send
        self._settings = settings
        self._waited, self._taken = 0.0, 0

    async def __call__(self, message: Message) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.window_seconds):
                await self._send(message)
        except TimeoutError:
            raise TakenTooSlowly from None
        self._waited += time.monotonic() - began
        self._taken += len(message.get("body", b""))
        if self._waited >= self._settings.window_seconds:
            if self._taken < self._settings.least_rate * self._waited:
                raise TakenTooSlowly
            self._waited, self._taken = 0.0, 0
