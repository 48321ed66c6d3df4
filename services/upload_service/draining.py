"""A refusal that comes before the request's body was read: the rest of a short body is read and dropped first.

Otherwise the server closes the connection behind the answer, and the client's next request on it is lost.
"""

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

DRAINED_BYTES = 1024 * 1024  # the client of a longer body loses its connection, not the answer
DRAINED_SECONDS = 2.0


class Draining:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; drain the body before the answer begins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        ended = False

        async def noting() -> Message:
            nonlocal ended
            message = await receive()
            ended = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def draining(message: Message) -> None:
            if message["type"] == "http.response.start" and not ended and _is_short(scope) and message["status"] != 408:
                await _drain(noting)  # but not one that was cut for its slowness
            await send(message)

        await self._app(scope, noting, draining)


def _is_short(scope: Scope) -> bool:
    """Whether the body is not said to be longer than what is drained; one in chunks says nothing."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return length.isdigit() and int(length) <= DRAINED_BYTES


async def _drain(receive: Receive) -> None:
    left = DRAINED_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAINED_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
