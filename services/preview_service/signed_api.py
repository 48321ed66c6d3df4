"""The routes of signed URLs: one gives them out to who may see the picture, the other shows it to who brings one."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from prometheus_client import Counter

from services.preview_service import answering
from services.preview_service.access import Access, Instance
from services.preview_service.api import PICTURE, UNCHANGED, OrthancId, Viewer
from services.preview_service.errors import NotRegistered, SigningOff, UrlExpired, UrlForged, UrlOvertaken
from services.preview_service.schemas import PictureToShare, SignedUrl
from services.preview_service.settings import Settings
from services.preview_service.signed import BASE, Signed, Signer, is_for_rights
from shared.audited_route import AuditedRoute, audited, concerns
from shared.errors import Problem
from shared.service import problems
from shared.texts import Name

ISSUED = Counter("examflow_signed_issued", "Signed URLs that were given out")
REQUESTS = Counter("examflow_signed_requests", "Requests for signed URLs that came here, by outcome", ["outcome"])
_OUTCOMES = {UrlForged: "forged", UrlExpired: "expired", UrlOvertaken: "overtaken"}

router = APIRouter(route_class=AuditedRoute, tags=["preview"])


@router.post("/dicom/instances/{orthancInstanceId}/preview-url", responses=problems(401, 403, 404, 409, 410, 503))
@audited("image.share")
async def share(
    request: Request, response: Response, caller: Viewer, orthanc_id: OrthancId, wanted: PictureToShare | None = None
) -> SignedUrl:
    """A URL that shows this picture to whoever has it, without a token, until it ends or the exam's rights change."""
    access: Access = request.app.state.access
    signer: Signer = request.app.state.signer
    if not signer.signs:
        raise SigningOff
    instance = await access.instance(caller, orthanc_id)
    concerns(request, exam=instance.exam_id, subject=instance.sop_instance_uid)
    if instance.exam_id is None or instance.epoch is None:
        raise NotRegistered
    view = (wanted or PictureToShare()).view()
    url, expires = signer.url(instance.orthanc_id, view, instance.exam_id, instance.epoch)
    ISSUED.inc()
    response.headers["Cache-Control"] = "no-store"
    return SignedUrl(url=url, expiresAt=datetime.fromtimestamp(expires, UTC))


@router.head(BASE + "/{signature}/{claims}", include_in_schema=False)
@router.get(
    BASE + "/{signature}/{claims}",
    response_class=Response,
    responses={200: PICTURE, 304: UNCHANGED, **problems(404, 410, 415, 502, 503)},
)
@audited("image.view", way="signed")
async def show(
    request: Request,
    signature: Annotated[Name, Path(max_length=100)],
    claims: Annotated[Name, Path(max_length=500)],
) -> Response:
    """The picture of a signed URL. It takes no token; a shared cache may keep the answer for the seconds it says."""
    try:
        answer = await _shown(request, signature, claims)
    except Problem as problem:
        REQUESTS.labels(_OUTCOMES.get(type(problem), problem.code)).inc()
        raise
    REQUESTS.labels("unchanged" if answer.status_code == 304 else "shown").inc()
    return answer


async def _shown(request: Request, signature: str, claims: str) -> Response:
    signer: Signer = request.app.state.signer
    settings: Settings = request.app.state.settings
    query = f"?{request.url.query}" if request.url.query else ""  # never signed: to a cache it would be another URL
    signed = signer.read(signature, claims + query)
    before = signer.seconds_left(signed)
    instance = await _instance(request, signed)
    concerns(request, exam=instance.exam_id, subject=instance.sop_instance_uid)
    answer = await answering.picture(request, instance, signed.view)
    left = signer.seconds_left(signed)
    if left < before:  # a cache counts from the answer on: rights of before a slow render would hold for longer
        await _instance(request, signed)
    return _for_shared_caches(answer, min(settings.signed.shared_seconds, left))


async def _instance(request: Request, signed: Signed) -> Instance:
    access: Access = request.app.state.access
    return await access.signed(signed.orthanc_id, lambda known: is_for_rights(signed, known.exam_id, known.epoch))


def _for_shared_caches(answer: Response, seconds: int) -> Response:
    """What a shared cache may do (RFC 9111, 5.2.2): keep it so long, then ask; never show it unasked afterwards.

    No `Age`: caches that count it would find it stale, and those that do not (nginx) would count from now. A browser
    asks each time: some caches do not say for how long they have had it.
    """
    for private in ("Age", "Vary"):
        del answer.headers[private]
    answer.headers["Cache-Control"] = f"public, max-age=0, s-maxage={seconds}, must-revalidate"
    return answer
