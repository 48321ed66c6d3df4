"""How DICOMweb answers: streams that have begun, lists in DICOM JSON, and the address under which clients see it."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from functools import partial

from fastapi import Request, Response

from services.preview_service.dicomweb.source import DICOM_JSON, Item
from services.preview_service.downloads import Download
from services.preview_service.negotiation import best
from services.preview_service.settings import Settings

_PREFIX, _ROOT = "/api", "/dicom-web"
# What is told changes with rights and images: a client may keep it, and asks each time.
FRESH = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization", "X-Content-Type-Options": "nosniff"}
# The words of PS3.18, 8.3.4.4 and 8.3.4.6.
MORE = "The number of results exceeded the maximum supported by the server. Additional results can be requested."
LITERAL = "The fuzzymatching parameter is not supported. Only literal matching has been performed."


async def flowing(request: Request, pieces: AsyncIterator[bytes], kind: str) -> Response:
    """A stream of which the first piece is there: what goes wrong before that is a refusal like any other."""
    settings: Settings = request.app.state.settings
    rest = _from(await anext(pieces), pieces)
    return Download(rest, settings.downloads, kind=kind, headers=FRESH, close=partial(_close, rest, pieces))


async def _from(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    try:
        yield first
        async for piece in pieces:
            yield piece
    finally:
        await _close(pieces)


async def _close(*streams: AsyncIterator[bytes]) -> None:
    """Where nothing was sent the outer one has not begun, and does not close the inner one."""
    for stream in streams:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


def listed(request: Request, items: Sequence[Item], warnings: Sequence[str]) -> Response:
    """The results of a search (PS3.18, 8.3.4)."""
    for item in items:
        name_own_address(item, base(request))
    headers = dict(FRESH)
    if warnings:
        headers["Warning"] = ", ".join(f'299 {base(request)}{_ROOT} "{text}"' for text in warnings)
    return Response(json.dumps(items, ensure_ascii=False), media_type=DICOM_JSON, headers=headers)


def name_own_address(item: Item, where: str) -> None:
    """Orthanc tells where to retrieve by its own address, which no client reaches."""
    for uri in item.get("00081190", {}).get("Value", [])[:1]:
        item["00081190"]["Value"] = [where + _ROOT + str(uri).partition(_ROOT)[2]]


def must_accept_json(accept: str) -> None:
    """Raise NotAcceptable unless DICOM JSON will do."""
    best(accept, (DICOM_JSON, "application/json"))


def base(request: Request) -> str:
    """Where clients see the gateway: as configured, or as this one says."""
    settings: Settings = request.app.state.settings
    if settings.dicomweb.public_url:
        return settings.dicomweb.public_url
    scheme = "https" if request.headers.get("x-forwarded-proto") == "https" else "http"
    prefix = _PREFIX if request.headers.get("x-forwarded-prefix") == _PREFIX else ""
    return f"{scheme}://{request.headers.get('host', 'localhost')}{prefix}"
