"""The preview service's routes for pictures of an instance; wado.py has those for a SOP instance and its file."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from services.preview_service import answering
from services.preview_service.access import Access
from services.preview_service.negotiation import JPEG, PNG, best
from services.preview_service.pictures import Pictures, frames_key
from services.preview_service.schemas import Frames
from services.preview_service.view import View
from shared.audited_route import AuditedRoute, audited, concerns
from shared.permission import Caller
from shared.service import problems
from shared.texts import Name
from shared.tokens import Scoped

PICTURE = {"content": {JPEG: {}, PNG: {}}, "description": "The picture"}
UNCHANGED = {"description": "Unchanged since the ETag of If-None-Match"}
REFUSALS = (401, 403, 404, 406, 410, 415, 502, 503)
router = APIRouter(
    route_class=AuditedRoute,
    prefix="/dicom",
    tags=["preview"],
    responses=problems(*REFUSALS),
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
    return await answering.picture(request, instance, view)


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
    return await answering.kept(request, instance, key, "application/json", lambda: pictures.frames(instance))
