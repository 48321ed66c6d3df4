"""Rendered WADO-RS (PS3.18, 10.4.1.1.3 and 10.4.1.1.5): pictures, from the same cache as the previews."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.preview_service import answering
from services.preview_service.access import Access, Instance
from services.preview_service.api import PICTURE, UNCHANGED, Accept, Viewer
from services.preview_service.dicomweb.api_retrieve import INSTANCE, REFUSALS, Sop, one
from services.preview_service.dicomweb.api_search import Series, Study
from services.preview_service.dicomweb.visible import images_of
from services.preview_service.negotiation import JPEG, PNG, best
from services.preview_service.pictures import DEFAULT, Pictures
from services.preview_service.schemas import Frames
from services.preview_service.settings import Settings
from services.preview_service.view import View
from shared.audited_route import AuditedRoute, audited, concerns
from shared.errors import FieldError, InvalidInput
from shared.permission import Caller
from shared.service import problems

router = APIRouter(route_class=AuditedRoute, prefix="/dicom-web", tags=["dicomweb"], responses=problems(*REFUSALS))
Frame = Annotated[int, Path(ge=1, le=1_000_000)]
_NUMBER = r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?"
_ANSWER: dict[int | str, dict[str, Any]] = {200: PICTURE, 304: UNCHANGED}


class Rendering:
    """The query parameters of a rendered picture (8.3.5.1). What is not offered is refused, not ignored."""

    def __init__(
        self,
        quality: Annotated[int, Query(ge=1, le=100)] = 90,
        viewport: Annotated[str | None, Query(pattern=r"^[1-9][0-9]{0,3},[1-9][0-9]{0,3}$")] = None,
        window: Annotated[str | None, Query(pattern=rf"^{_NUMBER},{_NUMBER}(,linear)?$")] = None,
        annotation: Annotated[str | None, Query(max_length=100)] = None,
        iccprofile: Annotated[str | None, Query(max_length=20, pattern=r"^[a-z0-9]+$")] = None,
    ) -> None:
        unable = {"annotation": annotation, "iccprofile": None if iccprofile == "no" else iccprofile}
        refused = [name for name, value in unable.items() if value is not None]
        if refused:
            words = "is not offered here; leave it out", "n'est pas proposé ici ; omettez-le"
            raise InvalidInput([FieldError(name, *words) for name in refused])
        self.quality = quality
        self.box = tuple(int(size) for size in viewport.split(",")) if viewport else (None, None)
        center, width = window.split(",")[:2] if window else ("", "")
        self.window = (float(center), float(width)) if window else None

    def view(self, frame: int, accept: str) -> View:
        """Of a frame. Raises NotAcceptable, and InvalidInput for a box that is larger than any picture."""
        width, height = self.box
        if max(width or 1, height or 1) > LARGEST or (self.window and self.window[1] <= 0):
            raise InvalidInput([FieldError("viewport", f"at most {LARGEST}", f"au plus {LARGEST}")])
        return View(frame, self.quality, width, height, best(accept, (JPEG, PNG)), self.window)


LARGEST = 2048
Wanted = Annotated[Rendering, Depends()]


@router.get(INSTANCE + "/rendered", response_class=Response, responses=_ANSWER)
@audited("image.view")
async def rendered(
    request: Request, caller: Viewer, study: Study, series: Series, sop: Sop, wanted: Wanted, accept: Accept = "*/*"
) -> Response:
    """A picture of the image: of its first frame where there are several."""
    view = wanted.view(1, accept)
    return await answering.picture(request, await one(request, caller, study, series, sop), view)


@router.get(INSTANCE + "/frames/{frame}/rendered", response_class=Response, responses=_ANSWER)
@audited("image.view")
async def rendered_frame(
    request: Request,
    caller: Viewer,
    study: Study,
    series: Series,
    sop: Sop,
    frame: Frame,
    wanted: Wanted,
    accept: Accept = "*/*",
) -> Response:
    """A picture of one frame."""
    view = wanted.view(frame, accept)
    return await answering.picture(request, await one(request, caller, study, series, sop), view)


@router.get("/studies/{studyInstanceUID}/thumbnail", response_class=Response, responses=_ANSWER)
@audited("image.view")
async def study_thumbnail(request: Request, caller: Viewer, study: Study, accept: Accept = "*/*") -> Response:
    """A small picture of the image in the middle of a study."""
    return await _thumbnail(request, await _middle(request, caller, study, None), accept)


@router.get("/studies/{studyInstanceUID}/series/{seriesInstanceUID}/thumbnail", responses=_ANSWER)
@audited("image.view")
async def series_thumbnail(
    request: Request, caller: Viewer, study: Study, series: Series, accept: Accept = "*/*"
) -> Response:
    """The same of a series."""
    return await _thumbnail(request, await _middle(request, caller, study, series), accept)


@router.get(INSTANCE + "/thumbnail", response_class=Response, responses=_ANSWER)
@audited("image.view")
async def thumbnail(
    request: Request, caller: Viewer, study: Study, series: Series, sop: Sop, accept: Accept = "*/*"
) -> Response:
    """A small picture of an image: of the frame in the middle."""
    return await _thumbnail(request, await one(request, caller, study, series, sop), accept)


async def _middle(request: Request, caller: Caller, study: str, series: str | None) -> Instance:
    access: Access = request.app.state.access
    settings: Settings = request.app.state.settings
    found = (await images_of(access, caller, study, series, settings.dicomweb.images)).items
    middle = found[(len(found) - 1) // 2].instance()
    concerns(request, exam=middle.exam_id, subject=middle.sop_instance_uid)
    return middle


async def _thumbnail(request: Request, instance: Instance, accept: str) -> Response:
    """The very picture that warming makes ahead, where it is a JPEG."""
    settings: Settings = request.app.state.settings
    pictures: Pictures = request.app.state.pictures
    kind, size = best(accept, (JPEG, PNG)), settings.warming.thumbnail
    told, _ = await pictures.frames(instance)
    middle = (Frames.model_validate_json(told.content).count + 1) // 2
    view = replace(DEFAULT, frame=middle, width=size, height=size, content_type=kind)
    return await answering.picture(request, instance, view)
