"""The preview service's HTTP routes: pictures of an instance, and the DICOM file itself."""

import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

from services.preview_service.access import Access, Instance
from services.preview_service.errors import Gone
from services.preview_service.negotiation import DICOM, JPEG, PNG, best, wants_picture
from services.preview_service.pictures import From, Pictures, frames_key
from services.preview_service.schemas import Frames
from services.preview_service.view import Key, Picture, View
from shared.audited_route import AuditedRoute, audited, concerns
from shared.orthanc import Orthanc
from shared.permission import Caller
from shared.service import problems
from shared.texts import Name
from shared.tokens import Scoped

log = structlog.get_logger()
PICTURE = {"content": {JPEG: {}, PNG: {}}, "description": "The picture"}
UNCHANGED = {"description": "Unchanged since the ETag of If-None-Match"}
# RFC 9211: what this cache did.
CACHE_STATUS: dict[From, str] = {
    "hit": "examflow; hit",
    "collapsed": "examflow; fwd=uri-miss; collapsed",
    "miss": "examflow; fwd=uri-miss; stored",
}
router = APIRouter(
    route_class=AuditedRoute,
    prefix="/dicom",
    tags=["preview"],
    responses=problems(401, 403, 404, 406, 410, 415, 502, 503),
)

Viewer = Annotated[Caller, Depends(Scoped("images:read"))]
OrthancId = Annotated[str, Path(alias="orthancInstanceId", max_length=255, pattern=r"^[0-9A-Za-z-]+$")]
Accept = Annotated[Name, Header(max_length=1000)]
Size = Annotated[int | None, Query(ge=1, le=2048)]


@router.head("/instances/{orthancInstanceId}/preview", include_in_schema=False)
@router.get("/instances/{orthancInstanceId}/preview", response_class=Response, responses={200: PICTURE, 304: UNCHANGED})
@audited("image.view")
async def preview(
    request: Request,
    caller: Viewer,
    orthanc_id: OrthancId,
    quality: Annotated[int, Query(ge=1, le=100)] = 90,
    frame: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    width: Size = None,
    height: Size = None,
    accept: Accept = "*/*",
) -> Response:
    """A picture of one frame, as JPEG or PNG; with a width or height, fitted inside and never enlarged."""
    view = View(frame, quality, width, height, best(accept, (JPEG, PNG)))
    access: Access = request.app.state.access
    instance = await access.instance(caller, orthanc_id)
    concerns(request, exam=instance.exam_id, subject=instance.sop_instance_uid)
    return await _picture(request, instance, view)


@router.head("/instances/{orthancInstanceId}/frames", include_in_schema=False)
@router.get("/instances/{orthancInstanceId}/frames", response_model=Frames, responses={304: UNCHANGED})
@audited("image.view")
async def frames(request: Request, caller: Viewer, orthanc_id: OrthancId) -> Response:
    """How many frames the image has, and the size of their pictures."""
    access: Access = request.app.state.access
    pictures: Pictures = request.app.state.pictures
    instance = await access.instance(caller, orthanc_id)
    concerns(request, exam=instance.exam_id, subject=instance.sop_instance_uid)
    key = frames_key(instance)
    return await _kept(request, instance, key, "application/json", lambda: pictures.frames(instance))


@router.get(
    "/wado/{sopInstanceUID}",
    response_class=Response,
    responses={200: {"content": {DICOM: {}, JPEG: {}, PNG: {}}, "description": "The file"}, 304: UNCHANGED},
)
@audited("image.download")
async def wado(
    request: Request,
    caller: Viewer,
    sop_instance_uid: Annotated[str, Path(alias="sopInstanceUID", max_length=64, pattern=r"^[0-9.]+$")],
    content_type: Annotated[Name | None, Query(alias="contentType", max_length=100)] = None,
    accept: Accept = "*/*",
) -> Response:
    """The DICOM file, streamed; a picture if `Accept` or `contentType` asks for one."""
    wanted = content_type or accept
    access: Access = request.app.state.access
    kind = best(wanted, (JPEG, PNG) if wants_picture(wanted) else (DICOM, "application/octet-stream"))
    instance = await access.sop_instance(caller, sop_instance_uid)
    as_picture = kind in (JPEG, PNG)
    action = "image.view" if as_picture else None
    concerns(request, exam=instance.exam_id, subject=instance.sop_instance_uid, action=action)
    if as_picture:
        return await _picture(request, instance, View(1, 90, None, None, kind))
    return await _file(request, instance)


async def _picture(request: Request, instance: Instance, view: View) -> Response:
    pictures: Pictures = request.app.state.pictures
    key = view.key(instance.digest)
    return await _kept(request, instance, key, view.content_type, lambda: pictures.show(instance, view))


async def _kept(
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
    return Response(found.content, media_type=kind, headers=headers)


async def _file(request: Request, instance: Instance) -> Response:
    """The stored file as it comes from Orthanc; the connection is closed when the last byte is sent."""
    orthanc: Orthanc = request.app.state.orthanc
    headers = _headers(request, f'"{instance.digest}"')
    if _unchanged(request, headers["ETag"]):
        log.info("file.unchanged", orthanc_id=instance.orthanc_id, exam=instance.exam_id)
        return Response(status_code=304, headers=headers)
    async with contextlib.AsyncExitStack() as stack:
        answer = await stack.enter_async_context(orthanc.file(instance.orthanc_id))
        if answer is None:
            raise Gone
        if "content-length" in answer.headers:
            headers["Content-Length"] = answer.headers["content-length"]
        headers["Content-Disposition"] = f'attachment; filename="{instance.sop_instance_uid}.dcm"'
        log.info("file.sent", orthanc_id=instance.orthanc_id, exam=instance.exam_id)
        close = BackgroundTask(stack.pop_all().aclose)
        return StreamingResponse(answer.aiter_raw(), media_type=DICOM, headers=headers, background=close)
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
