"""Another server in Orthanc's place: it answers some requests by itself, and passes all others on to Orthanc."""

import asyncio
import json
import re
import socket
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from httpx_aiohttp import HttpxAiohttpClient
from starlette.requests import Request
from starlette.responses import Response

from deploy.local.ports import HOST
from tests.chaos.background import Background

ENDS_HERE = ("host", "connection", "content-length", "transfer-encoding")  # headers of one connection alone


@dataclass
class Lie:
    """An answer that is not Orthanc's; with `late`, Orthanc's own, to what was passed on so many seconds later.

    `told` counts how often that was done.
    """

    method: str
    path: str  # a pattern for all of it
    status: int = 0
    body: object = None  # as JSON
    late: float = 0.0
    every: int = 1  # only one of so many requests is lied to
    asked: int = 0
    told: int = 0

    def fits(self, request: Request) -> bool:
        """Whether to lie to this one."""
        if request.method != self.method or not re.fullmatch(self.path, request.url.path):
            return False
        self.asked += 1
        self.told += (fits := self.asked % self.every == 0)
        return fits


class Pretender:
    """Serves on a port of its own."""

    def __init__(self, background: Background, orthanc: str) -> None:
        self._background = background
        self._orthanc = f"http://{orthanc}"
        self._socket = socket.create_server((HOST, 0))
        self.port: int = self._socket.getsockname()[1]
        self.lies: list[Lie] = []
        self._server = uvicorn.Server(uvicorn.Config(self._app, log_config=None, lifespan="off", interface="asgi3"))

    def listen(self) -> None:
        """Begin to serve."""
        self._serving = self._background.begin(self._serve())

    async def _serve(self) -> None:
        limits = httpx.Limits(keepalive_expiry=0.5)  # Orthanc closes an idle connection after a second
        async with HttpxAiohttpClient(base_url=self._orthanc, timeout=100, limits=limits) as self._http:
            await self._server.serve(sockets=[self._socket])

    def close(self) -> None:
        """Let go of everybody."""
        self._server.should_exit = self._server.force_exit = True
        self._serving.result(timeout=10)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        answer = await self._answer(Request(scope, receive))
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        for lie in self.lies:
            if not lie.fits(request):
                continue
            if not lie.late:
                return Response(json.dumps(lie.body), lie.status, media_type="application/json")
            await asyncio.sleep(lie.late)
        headers = {name: value for name, value in request.headers.items() if name not in ENDS_HERE}
        where = str(request.url.replace(scheme="", netloc=""))
        passed = await self._http.request(request.method, where, content=body, headers=headers)
        kept = {name: value for name, value in passed.headers.items() if name not in ENDS_HERE}
        return Response(passed.content, passed.status_code, kept)
