"""WADO-RS (PS3.18, 10.4): the routes that give files, metadata, frames and bulk data."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from services.preview_service.access import Access, Instance
from services.preview_service.api import Accept, Viewer
from services.preview_service.dicomweb.accept import frame_wishes, wishes
from services.preview_service.dicomweb.answers import base, flowing, must_accept_json
from services.preview_service.dicomweb.api_search import Series, Study, Uid
from services.preview_service.dicomweb.metadata import Metadata
from services.preview_service.dicomweb.parts import Related
from services.preview_service.dicomweb.retrieval import OCTETS, Retrieval
from services.preview_service.dicomweb.source import DICOM_JSON
from services.preview_service.dicomweb.visible import images_of
from services.preview_service.errors import TooManyImages
from services.preview_service.negotiation import DICOM
from services.preview_service.settings import Settings
from shared.audited_route import AuditedRoute, audited, concerns, concerns_all
from shared.errors import FieldError, InstanceUnknown, InvalidInput
from shared.permission import Caller
from shared.service import problems

REFUSALS = (401, 403, 404, 406, 409, 410, 413, 415, 502, 503)
_FILES = {"content": {"multipart/related": {}}, "description": "The files, each as a part"}
_METADATA = {"content": {DICOM_JSON: {}}, "description": "All but the bulk data, in DICOM JSON"}
_SERIES = "/studies/{studyInstanceUID}/series/{seriesInstanceUID}"
INSTANCE = _SERIES + "/instances/{sopInstanceUID}"

router = APIRouter(route_class=AuditedRoute, prefix="/dicom-web", tags=["dicomweb"], responses=problems(*REFUSALS))
Sop = Annotated[Uid, Path(alias="sopInstanceUID")]


@router.get("/studies/{studyInstanceUID}", response_class=Response, responses={200: _FILES})
@audited("image.download")
async def study_files(request: Request, caller: Viewer, study: Study, accept: Accept = "*/*") -> Response:
    """The files of a study that the caller may see."""
    return await _files(request, await _of(request, caller, study, None), accept)


@router.get(_SERIES, response_class=Response, responses={200: _FILES})
@audited("image.download")
async def series_files(
    request: Request, caller: Viewer, study: Study, series: Series, accept: Accept = "*/*"
) -> Response:
    """Those of a series."""
    return await _files(request, await _of(request, caller, study, series), accept)


@router.get(INSTANCE, response_class=Response, responses={200: _FILES})
@audited("image.download")
async def instance_file(
    request: Request, caller: Viewer, study: Study, series: Series, sop: Sop, accept: Accept = "*/*"
) -> Response:
    """One file; alone where the client accepts `application/dicom` itself."""
    return await _files(request, [await one(request, caller, study, series, sop)], accept, single=True)


@router.get("/studies/{studyInstanceUID}/metadata", response_class=Response, responses={200: _METADATA})
@audited("image.view")
async def study_metadata(request: Request, caller: Viewer, study: Study, accept: Accept = "*/*") -> Response:
    """What stands in the images of a study that the caller may see."""
    return await _metadata(request, await _of(request, caller, study, None), accept)


@router.get(_SERIES + "/metadata", response_class=Response, responses={200: _METADATA})
@audited("image.view")
async def series_metadata(
    request: Request, caller: Viewer, study: Study, series: Series, accept: Accept = "*/*"
) -> Response:
    """The same of a series."""
    return await _metadata(request, await _of(request, caller, study, series), accept)


@router.get(INSTANCE + "/metadata", response_class=Response, responses={200: _METADATA})
@audited("image.view")
async def instance_metadata(
    request: Request, caller: Viewer, study: Study, series: Series, sop: Sop, accept: Accept = "*/*"
) -> Response:
    """The same of an image."""
    return await _metadata(request, [await one(request, caller, study, series, sop)], accept)


@router.get(INSTANCE + "/frames/{frames}", response_class=Response, responses={200: _FILES})
@audited("image.view")
async def frames(
    request: Request,
    caller: Viewer,
    study: Study,
    series: Series,
    sop: Sop,
    numbers: Annotated[str, Path(alias="frames", max_length=1000, pattern=r"^[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*$")],
    accept: Accept = "*/*",
) -> Response:
    """Pixels of frames, as they are; with `transfer-syntax=*` as they are stored."""
    settings: Settings = request.app.state.settings
    retrieval: Retrieval = request.app.state.retrieval
    asked = [int(number) for number in numbers.split(",")]
    if len(asked) > settings.dicomweb.frames:
        most = settings.dicomweb.frames
        raise InvalidInput([FieldError("frames", f"at most {most} at once", f"au plus {most} à la fois")])
    instance = await one(request, caller, study, series, sop)
    kind, syntax = await retrieval.frames_kind(instance, frame_wishes(accept))
    related = Related(kind)
    return await flowing(request, retrieval.frames(related, instance, asked, kind, syntax), related.content_type)


@router.get(INSTANCE + "/bulk/{attribute}", response_class=Response, responses={200: _FILES})
@audited("image.view")
async def bulk(
    request: Request,
    caller: Viewer,
    study: Study,
    series: Series,
    sop: Sop,
    attribute: Annotated[str, Path(max_length=1000, pattern=r"^[0-9a-f]{8}(\.[0-9]{1,9}\.[0-9a-f]{8})*$")],
    accept: Accept = "*/*",
) -> Response:
    """The value of an attribute that metadata gives the address of."""
    retrieval: Retrieval = request.app.state.retrieval
    related = Related(wishes(accept, OCTETS)[0].kind)
    instance = await one(request, caller, study, series, sop)
    return await flowing(request, retrieval.bulk(related, instance, attribute), related.content_type)


async def one(request: Request, caller: Caller, study: str, series: str, sop: str) -> Instance:
    """The image of these UIDs, if the caller may see it."""
    access: Access = request.app.state.access
    instance = await access.sop_instance(caller, sop)
    if (instance.study_instance_uid, instance.series_instance_uid) != (study, series):
        raise InstanceUnknown
    concerns(request, exam=instance.exam_id, subject=instance.sop_instance_uid)
    return instance


async def _of(request: Request, caller: Caller, study: str, series: str | None) -> list[Instance]:
    """The images of a study or series that the caller may see."""
    access: Access = request.app.state.access
    settings: Settings = request.app.state.settings
    most = settings.dicomweb.images
    found = await images_of(access, caller, study, series, most)
    if found.more:
        raise TooManyImages(most=most)
    concerns_all(request, [(exam, series or study) for exam in {image.exam_id for image in found.items}])
    return [image.instance() for image in found.items]


async def _files(request: Request, instances: Sequence[Instance], accept: str, *, single: bool = False) -> Response:
    retrieval: Retrieval = request.app.state.retrieval
    wanted = wishes(accept, DICOM, single=single)
    if single and not wanted[0].multipart:
        return await flowing(request, retrieval.alone(instances[0], wanted), DICOM)
    related = Related(DICOM)
    return await flowing(request, retrieval.files(related, instances, wanted), related.content_type)


async def _metadata(request: Request, instances: Sequence[Instance], accept: str) -> Response:
    must_accept_json(accept)
    metadata: Metadata = request.app.state.metadata
    return await flowing(request, metadata.listed(instances, base(request)), DICOM_JSON)
