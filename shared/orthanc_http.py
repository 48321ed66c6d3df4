"""HTTP with Orthanc: one pool of connections, and what every answer has in common, whatever was asked."""

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping, Sequence
from typing import Any

import httpx
from httpx_aiohttp import HttpxAiohttpClient
from prometheus_client import Gauge

from shared.errors import OrthancAway, OrthancBusy, OrthancNonsense, OrthancSlow
from shared.settings import OrthancSettings

STREAMS = Gauge("examflow_orthanc_streams", "Files that flow from Orthanc")
Params = Mapping[str, str | int | Sequence[str]]


class OrthancHttp:
    """Opens nothing before its first request."""

    def __init__(self, settings: OrthancSettings) -> None:
        self._http = HttpxAiohttpClient(
            base_url=settings.url,
            auth=(settings.user, settings.password.get_secret_value()),
            # A fixed set of our own headers; Orthanc would compress every answer, pictures too.
            headers={"Accept-Encoding": "identity"},
            verify=settings.tls(),
            timeout=httpx.Timeout(settings.answer_seconds, connect=settings.connect_seconds),
            # Orthanc closes an idle connection after one second.
            limits=httpx.Limits(max_connections=settings.connections, keepalive_expiry=0.8),
        )
        # Whoever reads slowly keeps a connection for long: the others stay for what is answered at once.
        self._streams = asyncio.Semaphore(settings.streams)
        self._streams_wait = settings.streams_wait_seconds

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, path: str, params: Params | None = None) -> httpx.Response | None:
        """Any address that is read; None for a 404. Raises OrthancNonsense, OrthancSlow or OrthancAway."""
        answer = await self.ask("GET", path, params=params)
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a read")
        return answer

    async def ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | AsyncIterable[bytes] | None = None,
        content_type: str | None = None,
        accept: str = "*/*",
        params: Params | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """The answer, unless it says that Orthanc is away or refuses this account. Raises as `get` does."""
        headers = {"Accept": accept} | ({"Content-Type": content_type} if content_type else {}) | (headers or {})
        try:
            answer = await self._http.request(method, path, content=content, headers=headers, params=params)
        except httpx.ReadTimeout as error:
            raise OrthancSlow from error
        except httpx.TransportError as error:
            raise OrthancAway from error
        if answer.status_code == 401:
            raise OrthancNonsense(what="it does not know this service's account")
        if answer.status_code == 403:
            raise OrthancNonsense(what=f"this service's account may not {method} there (deploy/orthanc/routes.lua)")
        if answer.status_code == 503:
            raise OrthancAway
        return answer

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, accept: str = "*/*", nothing: Collection[int] = (404,)
    ) -> AsyncIterator[httpx.Response | None]:
        """What is read as it flows; None for a status that means there is `nothing`. Raises OrthancBusy too."""
        try:
            async with asyncio.timeout(self._streams_wait):
                await self._streams.acquire()
        except TimeoutError:
            raise OrthancBusy from None
        try:
            with STREAMS.track_inprogress():
                async with self._opened(path, accept, nothing) as answer:
                    yield answer
        finally:
            self._streams.release()

    @contextlib.asynccontextmanager
    async def _opened(self, path: str, accept: str, nothing: Collection[int]) -> AsyncIterator[httpx.Response | None]:
        try:
            async with self._http.stream("GET", path, headers={"Accept": accept}) as answer:
                if answer.status_code == 503:
                    raise OrthancAway
                if answer.status_code != 200 and answer.status_code not in nothing:
                    raise OrthancNonsense(what=f"HTTP {answer.status_code} to a download")
                yield answer if answer.status_code == 200 else None
        except httpx.TransportError as error:
            raise OrthancAway from error


def json_of(answer: httpx.Response) -> Any:
    """What an answer says. Raises OrthancNonsense where that is no JSON."""
    try:
        return answer.json()
    except ValueError:
        raise OrthancNonsense(what="no JSON") from None


def object_of(answer: httpx.Response) -> dict[str, Any]:
    """The same of an object."""
    found = json_of(answer)
    if not isinstance(found, dict):
        raise OrthancNonsense(what="no JSON object")
    return found
