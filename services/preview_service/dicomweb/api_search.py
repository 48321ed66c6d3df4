"""QIDO-RS (PS3.18, 10.6): the routes that list studies, series and images."""

import re
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from services.preview_service.api import Accept, Viewer
from services.preview_service.dicomweb.answers import LITERAL, MORE, listed, must_accept_json
from services.preview_service.dicomweb.attributes import must_match
from services.preview_service.dicomweb.search import Asked, Search
from services.preview_service.dicomweb.source import DICOM_JSON
from services.preview_service.dicomweb.visible import Level
from services.preview_service.settings import Settings
from shared.audited_route import AuditedRoute, audited
from shared.errors import FieldError, InvalidInput
from shared.permission import Caller
from shared.service import problems

_LIST = {"content": {DICOM_JSON: {}}, "description": "What was found that the caller may see, in DICOM JSON"}
_PAGE = ("limit", "offset", "includefield", "fuzzymatching")
_ATTRIBUTE = re.compile(r"[A-Za-z0-9.]{1,200}")
MOST_ATTRIBUTES, LONGEST_VALUE = 50, 4000

router = APIRouter(
    route_class=AuditedRoute, prefix="/dicom-web", tags=["dicomweb"], responses=problems(401, 403, 406, 502, 503)
)
Uid = Annotated[str, Path(max_length=64, pattern=r"^[0-9.]+$")]
Study = Annotated[Uid, Path(alias="studyInstanceUID")]
Series = Annotated[Uid, Path(alias="seriesInstanceUID")]
Limit = Annotated[int | None, Query(ge=0, le=1_000_000)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]


@router.get("/studies", response_class=Response, responses={200: _LIST})
@audited("dicomweb.search")
async def studies(
    request: Request, caller: Viewer, limit: Limit = None, offset: Offset = 0, accept: Accept = "*/*"
) -> Response:
    """Studies of which the caller may see an image; their counts are those of what he may see."""
    return await _found(request, caller, "study", accept, limit, offset)


@router.get("/series", response_class=Response, responses={200: _LIST})
@audited("dicomweb.search")
async def series(
    request: Request, caller: Viewer, limit: Limit = None, offset: Offset = 0, accept: Accept = "*/*"
) -> Response:
    """Series, of all studies."""
    return await _found(request, caller, "series", accept, limit, offset)


@router.get("/instances", response_class=Response, responses={200: _LIST})
@audited("dicomweb.search")
async def instances(
    request: Request, caller: Viewer, limit: Limit = None, offset: Offset = 0, accept: Accept = "*/*"
) -> Response:
    """Images, of all studies."""
    return await _found(request, caller, "instance", accept, limit, offset)


@router.get("/studies/{studyInstanceUID}/series", response_class=Response, responses={200: _LIST})
@audited("dicomweb.search")
async def series_of_study(
    request: Request, caller: Viewer, study: Study, limit: Limit = None, offset: Offset = 0, accept: Accept = "*/*"
) -> Response:
    """The series of a study."""
    return await _found(request, caller, "series", accept, limit, offset, study)


@router.get("/studies/{studyInstanceUID}/instances", response_class=Response, responses={200: _LIST})
@audited("dicomweb.search")
async def instances_of_study(
    request: Request, caller: Viewer, study: Study, limit: Limit = None, offset: Offset = 0, accept: Accept = "*/*"
) -> Response:
    """The images of a study."""
    return await _found(request, caller, "instance", accept, limit, offset, study)


@router.get(
    "/studies/{studyInstanceUID}/series/{seriesInstanceUID}/instances", response_class=Response, responses={200: _LIST}
)
@audited("dicomweb.search")
async def instances_of_series(
    request: Request,
    caller: Viewer,
    study: Study,
    series: Series,
    limit: Limit = None,
    offset: Offset = 0,
    accept: Accept = "*/*",
) -> Response:
    """The images of a series."""
    return await _found(request, caller, "instance", accept, limit, offset, study, series)


async def _found(
    request: Request,
    caller: Caller,
    level: Level,
    accept: str,
    limit: int | None,
    offset: int,
    study: str | None = None,
    series: str | None = None,
) -> Response:
    must_accept_json(accept)
    settings: Settings = request.app.state.settings
    search: Search = request.app.state.search
    most = settings.dicomweb.results
    matching, include = _attributes(request)
    asked = Asked(level, most if limit is None else min(limit, most), offset, study, series, matching, include)
    must_match(level, matching, in_a_study=asked.one_study() is not None)
    found = await search.find(caller, asked)
    fuzzy = request.query_params.get("fuzzymatching", "false").lower() == "true"
    return listed(request, found.items, [*([LITERAL] if fuzzy else []), *([MORE] if found.more else [])])


def _attributes(request: Request) -> tuple[dict[str, str], tuple[str, ...]]:
    """What is to match, and what is to be told besides (8.3.4.1, 8.3.4.3). Raises InvalidInput."""
    asked = request.query_params.multi_items()
    matching = {name: value for name, value in asked if name not in _PAGE}
    include = tuple(name for key, value in asked if key == "includefield" for name in value.split(","))
    names = [*matching, *include]
    if len(names) > MOST_ATTRIBUTES:
        raise InvalidInput([FieldError("query", f"at most {MOST_ATTRIBUTES} attributes", "trop d'attributs")])
    wrong = [name for name in names if not _ATTRIBUTE.fullmatch(name)]
    wrong += [name for name, value in matching.items() if len(value) > LONGEST_VALUE]
    if wrong:
        words = "a DICOM attribute (keyword or tag) and its value", "un attribut DICOM (nom ou étiquette) et sa valeur"
        raise InvalidInput([FieldError("query", *words)])
    return matching, include
