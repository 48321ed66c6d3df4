"""How what was found is answered: validators, for how long it may be believed, and parts of a file."""

import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog
from fastapi import Request, Response

from services.preview_service.access import Instance
from services.preview_service.downloads import Download
from services.preview_service.errors import Gone
from services.preview_service.negotiation import DICOM
from services.preview_service.pictures import From, Pictures
from services.preview_service.ranges import cut, part_of
from services.preview_service.sent_by_gateway import REDIRECT, redirect
from services.preview_service.settings import DownloadSettings
from services.preview_service.view import Key, Picture, View
from shared.orthanc import Orthanc

log = structlog.get_logger()

# RFC 9211: what this cache did.
CACHE_STATUS: dict[From, str] = {
    "hit": "examflow; hit",
    "collapsed": "examflow; fwd=uri-miss; collapsed",
    "miss": "examflow; fwd=uri-miss; stored",
}


async def picture(request: Request, instance: Instance, view: View) -> Response:
    """A picture, or 304."""
    pictures: Pictures = request.app.state.pictures
    key = view.key(instance.digest)
    return await kept(request, instance, key, view.content_type, lambda: pictures.show(instance, view))


async def kept(
    request: Request, instance: Instance, key: Key, kind: str, find: Callable[[], Awaitable[tuple[Picture, From]]]
) -> Response:
    """What is made once and kept, with what a browser and an operator want to know about that."""
    if _unchanged(request, key.etag):
        log.info("preview.unchanged", orthanc_id=instance.orthanc_id, exam=instance.exam_id)
        # The age that the client has on record is over: to it, the picture is as new as it ever was.
        return Response(status_code=304, headers={**_headers(request, key.etag), "Age": "0"})
    began = time.perf_counter()
    found, source = await find()
    ms = round(1000 * (time.perf_counter() - began), 1)
    log.info("preview.shown", orthanc_id=instance.orthanc_id, exam=instance.exam_id, source=source, ms=ms)
    age = max(0, int(time.time() - found.made)) if source == "hit" else 0
    headers = {**_headers(request, key.etag, age), "Age": str(age), "Cache-Status": CACHE_STATUS[source]}
    place = redirect(request, key, len(found.content))
    if place:
        return Response(media_type=kind, headers=headers | {REDIRECT: place})
    return Response(found.content, media_type=kind, headers=headers)


async def file(request: Request, instance: Instance) -> Response:
    """The stored file, or a part of it, as it flows from Orthanc; 304; for HEAD what GET would answer."""
    orthanc: Orthanc = request.app.state.orthanc
    headers = _headers(request, f'"{instance.digest}"')
    if _unchanged(request, headers["ETag"]):
        log.info("file.unchanged", orthanc_id=instance.orthanc_id, exam=instance.exam_id)
        return Response(status_code=304, headers=headers)
    size = await orthanc.size(instance.orthanc_id)
    if size is None:
        raise Gone
    part = part_of(request.headers, headers["ETag"], size) if request.method == "GET" else None
    headers |= {
        "Accept-Ranges": "bytes",
        "Content-Length": str(part.end - part.first if part else size),
        "Content-Disposition": f'attachment; filename="{instance.sop_instance_uid}.dcm"',
    }
    if part:
        headers["Content-Range"] = part.header
    if request.method == "HEAD":
        return Response(media_type=DICOM, headers=headers)
    async with contextlib.AsyncExitStack() as stack:
        answer = await stack.enter_async_context(orthanc.file(instance.orthanc_id))
        if answer is None:
            raise Gone
        log.info("file.sent", orthanc_id=instance.orthanc_id, exam=instance.exam_id, whole=part is None)
        pieces = cut(answer.aiter_raw(), part) if part else answer.aiter_raw()
        paced: DownloadSettings = request.app.state.settings.downloads
        status = 206 if part else 200
        return Download(pieces, paced, kind=DICOM, headers=headers, close=stack.pop_all().aclose, status=status)
    raise AssertionError("unreachable: no context manager here swallows an exception")


def _headers(request: Request, etag: str, age: int = 0) -> dict[str, str]:
    """A client counts max-age from when the picture was made, `age` seconds ago (RFC 9111, 4.2)."""
    seconds: int = request.app.state.settings.max_age_seconds + age
    return {
        "ETag": etag,
        "Cache-Control": f"private, max-age={seconds}",
        "Vary": "Accept, Authorization",
        "X-Content-Type-Options": "nosniff",
    }


def _unchanged(request: Request, etag: str) -> bool:
    """If-None-Match (RFC 9110, 13.1.2), compared weakly as it says."""
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return etag in known or "*" in known
