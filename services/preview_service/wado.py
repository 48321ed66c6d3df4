"""WADO: the DICOM file of a SOP instance, or a picture of it, by its path or by WADO-URI (DICOM PS3.18, 9)."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.preview_service import answering
from services.preview_service.access import Access, Instance
from services.preview_service.api import REFUSALS, UNCHANGED, Accept, Viewer
from services.preview_service.dicomweb.accept import EXPLICIT_LITTLE, Wish
from services.preview_service.dicomweb.answers import FRESH, flowing
from services.preview_service.dicomweb.retrieval import Retrieval
from services.preview_service.negotiation import DICOM, JPEG, PNG, best, wants_picture
from services.preview_service.pictures import DEFAULT
from services.preview_service.view import View
from shared.audited_route import AuditedRoute, audited, concerns
from shared.errors import FieldError, InstanceUnknown, InvalidInput
from shared.service import problems
from shared.texts import Name

NOT_OFFERED = "is not offered here; leave it out", "n'est pas proposé ici ; omettez-le"
ONE_SYNTAX = (
    f"is {EXPLICIT_LITTLE} for files, and nothing for pictures; leave it out for the file as it is stored",
    f"vaut {EXPLICIT_LITTLE} pour un fichier, rien pour une image ; omettez-le pour le fichier tel quel",
)
FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {DICOM: {}, JPEG: {}, PNG: {}}, "description": "The file, or a picture"},
    206: {"content": {DICOM: {}}, "description": "The part of the file that Range asks for"},
    304: UNCHANGED,
}
router = APIRouter(route_class=AuditedRoute, prefix="/dicom", tags=["preview"], responses=problems(*REFUSALS, 416))
ContentType = Annotated[Name | None, Query(alias="contentType", max_length=100)]
Uid = Annotated[str, Query(max_length=64, pattern=r"^[0-9.]+$")]
Pixels = Annotated[int | None, Query(ge=1, le=2048)]


@router.head("/wado/{sopInstanceUID}", include_in_schema=False)
@router.get("/wado/{sopInstanceUID}", response_class=Response, responses=FILE)
@audited("image.download")
async def wado(
    request: Request,
    caller: Viewer,
    sop_instance_uid: Annotated[str, Path(alias="sopInstanceUID", max_length=64, pattern=r"^[0-9.]+$")],
    content_type: ContentType = None,
    accept: Accept = "*/*",
) -> Response:
    """The DICOM file, streamed; a picture if `Accept` or `contentType` asks for one."""
    wanted = content_type or accept
    access: Access = request.app.state.access
    kind = best(wanted, (JPEG, PNG) if wants_picture(wanted) else (DICOM, "application/octet-stream"))
    instance = await access.sop_instance(caller, sop_instance_uid)
    return await _answer(request, instance, replace(DEFAULT, content_type=kind))


@dataclass(frozen=True)
class Asked:
    """The parameters of WADO-URI (PS3.18, 9.1.2) that shape the answer."""

    frame_number: Annotated[int, Query(alias="frameNumber", ge=1, le=1_000_000)] = 1
    rows: Pixels = None
    columns: Pixels = None
    center: Annotated[float | None, Query(alias="windowCenter", ge=-1e9, le=1e9)] = None
    width: Annotated[float | None, Query(alias="windowWidth", gt=0, le=1e9)] = None
    quality: Annotated[int, Query(alias="imageQuality", ge=1, le=100)] = 90
    transfer_syntax: Annotated[Name | None, Query(alias="transferSyntax", max_length=64)] = None
    anonymize: Annotated[Literal["yes"] | None, Query()] = None
    region: Annotated[Name | None, Query(max_length=100)] = None
    presentation: Annotated[Name | None, Query(alias="presentationUID", max_length=64)] = None

    def view(self, kind: str) -> View:
        """The picture that is asked for. Raises InvalidInput."""
        if (self.center is None) != (self.width is None):
            missing = "windowCenter" if self.center is None else "windowWidth"
            raise InvalidInput([FieldError(missing, "comes together with the other of the two", "va avec l'autre")])
        window = None if self.center is None or self.width is None else (self.center, self.width)
        return View(self.frame_number, self.quality, self.columns, self.rows, kind, window)

    def must_be_possible(self, kind: str) -> None:
        """Raise InvalidInput for what would be answered otherwise than it is asked for."""
        unable = {
            "anonymize": self.anonymize,
            "region": self.region,
            "presentationUID": self.presentation,
        }
        refused = [FieldError(name, *NOT_OFFERED) for name, value in unable.items() if value is not None]
        if self.transfer_syntax is not None and (kind != DICOM or self.transfer_syntax != EXPLICIT_LITTLE):
            refused.append(FieldError("transferSyntax", *ONE_SYNTAX))
        if refused:
            raise InvalidInput(refused)


@router.head("/wado", include_in_schema=False)
@router.get("/wado", response_class=Response, responses=FILE)
@audited("image.download")
async def wado_uri(
    request: Request,
    caller: Viewer,
    asked: Annotated[Asked, Depends()],
    request_type: Annotated[Literal["WADO"], Query(alias="requestType")],
    study: Annotated[Uid, Query(alias="studyUID")],
    series: Annotated[Uid, Query(alias="seriesUID")],
    sop: Annotated[Uid, Query(alias="objectUID")],
    content_type: ContentType = None,
    accept: Accept = "*/*",
) -> Response:
    """WADO-URI: a picture as JPEG, or what `contentType` asks for."""
    del request_type  # there is only one
    kind = best(content_type or accept, (JPEG, PNG, DICOM))
    asked.must_be_possible(kind)
    view = asked.view(kind)
    access: Access = request.app.state.access
    instance = await access.sop_instance(caller, sop)
    if (instance.study_instance_uid, instance.series_instance_uid) != (study, series):
        raise InstanceUnknown
    if asked.transfer_syntax is not None:
        concerns(request, exam=instance.exam_id, subject=instance.sop_instance_uid)
        return await _decoded(request, instance)
    return await _answer(request, instance, view)


async def _decoded(request: Request, instance: Instance) -> Response:
    """The file in Explicit VR Little Endian; its length is not known before."""
    retrieval: Retrieval = request.app.state.retrieval
    if request.method == "HEAD":
        return Response(media_type=DICOM, headers=FRESH)
    pieces = retrieval.alone(instance, [Wish(DICOM, multipart=False, syntax=EXPLICIT_LITTLE)])
    return await flowing(request, pieces, DICOM)


async def _answer(request: Request, instance: Instance, view: View) -> Response:
    """The picture, or the file where the view's media type is no picture's."""
    as_picture = view.content_type in (JPEG, PNG)
    action = "image.view" if as_picture else None
    concerns(request, exam=instance.exam_id, subject=instance.sop_instance_uid, action=action)
    return await (answering.picture(request, instance, view) if as_picture else answering.file(request, instance))
