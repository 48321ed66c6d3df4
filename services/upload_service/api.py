"""The upload service's HTTP routes."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from services.upload_service import metrics
from services.upload_service.errors import EncodingRefused, FileTooLarge
from services.upload_service.form import OVERHEAD, TEXT_LIMITS, UploadForm
from services.upload_service.pace import paced
from services.upload_service.schemas import FieldLimit, UploadAnswer, UploadLimits
from services.upload_service.settings import Settings
from services.upload_service.upload import Uploads
from shared.audited_route import AuditedRoute, audited
from shared.errors import Problem
from shared.permission import Caller
from shared.service import problems
from shared.texts import NOT_IN_NAME, PROSE
from shared.tokens import Scoped

router = APIRouter(route_class=AuditedRoute, prefix="/dicom/upload", tags=["upload"])
Uploader = Annotated[Caller, Depends(Scoped("dicom:upload"))]

# The body is read as a stream, so FastAPI cannot derive its description from the signature.
FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "one DICOM file (PS3.10)"},
        "examenID": {"type": "string", "maxLength": TEXT_LIMITS["examenID"], "pattern": f"^[^/{NOT_IN_NAME}]*$"},
        "description": {"type": "string", "maxLength": TEXT_LIMITS["description"], "pattern": PROSE},
    },
}
BODY = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": FORM}}}}
REFUSALS = problems(401, 403, 408, 409, 413, 415, 502, 503, 507)


@router.post("", status_code=201, openapi_extra=BODY, responses={200: {"model": UploadAnswer}, **REFUSALS})
@audited("image.upload", by_itself=True)
async def upload(request: Request, response: Response, caller: Uploader) -> UploadAnswer:
    """Store one DICOM file: 201 new, 200 where an equal image was stored already."""
    uploads: Uploads = request.app.state.uploads
    settings: Settings = request.app.state.settings
    try:
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise EncodingRefused
        length = int(request.headers["content-length"]) if "content-length" in request.headers else None
        if length is not None and length > settings.upload_limit + OVERHEAD:
            raise FileTooLarge(limit=settings.upload_limit)
        body = paced(request.stream(), settings.pace)
        form = UploadForm(request.headers.get("content-type", ""), body, settings.upload_limit, length)
        uploaded = await uploads.take(form, caller, request.client.host if request.client else None)
    except Problem as problem:
        metrics.FAILED.labels(problem.code).inc()
        raise
    response.status_code = 201 if uploaded.is_new else 200
    return UploadAnswer.of(uploaded)


@router.get("/limits", responses=problems(401, 403, 503))
@audited("upload.limits", denied_only=True)
async def limits(request: Request, caller: Uploader) -> UploadLimits:
    """The largest file, the form's fields and the transfer syntaxes that are taken."""
    settings: Settings = request.app.state.settings
    fields = [FieldLimit(name="file", required=True, maxLength=None)]
    fields += [FieldLimit(name=name, required=False, maxLength=length) for name, length in TEXT_LIMITS.items()]
    return UploadLimits(maxFileSize=settings.upload_limit, fields=fields, transferSyntaxes=sorted(settings.syntaxes))
