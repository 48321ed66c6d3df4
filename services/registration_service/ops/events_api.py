"""What would become of an event, for those who make one."""

import json
import re
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from services.registration_service.consumers import EXAM_QUEUE, STORED_QUEUE
from services.registration_service.ops.letter import token
from services.registration_service.ops.operator import Operator
from services.registration_service.ops.outcomes import Outcome
from services.registration_service.ops.schemas_dead_letters import Foreseen
from services.registration_service.ops.trial import Said, Trial
from services.registration_service.settings import Settings
from shared.audited_route import AuditedRoute, audited
from shared.events import CONTENT_TYPE, DicomStored, ExamUpserted
from shared.service import problems

router = APIRouter(route_class=AuditedRoute, prefix="/events", tags=["events"], responses=problems(401, 403, 503))

_QUEUES = {DicomStored.event_type: STORED_QUEUE, ExamUpserted.event_type: EXAM_QUEUE}
_OURS = {"/examflow/upload": "upload", "/examflow/reconciler": "registration"}
_PARTNER = re.compile(r"/partner/([A-Za-z0-9._-]{1,100})")
_CLOUD_EVENT = {"schema": {"type": "object"}}
_BODY = {"required": True, "content": {CONTENT_TYPE: _CLOUD_EVENT, "application/json": _CLOUD_EVENT}}


async def _bounded_body(request: Request) -> bytes:
    """The body, or as much of it as shows that it is too large."""
    settings: Settings = request.app.state.settings
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > settings.messages.largest_bytes:
            break
    return body


@router.post("/validate", openapi_extra={"requestBody": _BODY})
@audited("events.validate", by_itself=True)
async def validate_event(
    request: Request, caller: Operator, body: Annotated[bytes, Depends(_bounded_body)]
) -> Foreseen:
    """Try an event on today's data without writing anything: `dicom.stored` or `exam.upserted`.

    Its `source` says as whom: /examflow/upload and /examflow/reconciler are believed, /partner/<user> is that partner.
    """
    trial: Trial = request.app.state.trial
    settings: Settings = request.app.state.settings
    kind, publisher = _text(body, "type"), _publisher(_text(body, "source"), settings.messages.believed)
    if kind is not None and kind not in _QUEUES:
        outcome = Outcome("fail", "type-not-taken", f"type: must be one of {', '.join(_QUEUES)}", "type")
    elif publisher is None and kind is not None:
        reason = f"source: must be one of {', '.join(_OURS)} or /partner/<user>"
        outcome = Outcome("fail", "source-unknown", reason, "source")
    else:
        queue = _QUEUES.get(kind or "", STORED_QUEUE)
        [outcome] = (await trial.foresee([Said(queue, body, None, publisher or "")])).values()
    return Foreseen(
        outcome=outcome.result,
        code=outcome.code,
        reason=outcome.reason,
        field=outcome.field,
        type=token(kind),
        publisher=publisher,
    )


def _text(body: bytes, name: str) -> str | None:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    found = event.get(name) if isinstance(event, dict) else None
    return found if isinstance(found, str) else None


def _publisher(source: str | None, believed: list[str]) -> str | None:
    """The broker's user of a source; a partner who goes by the name of one of ours is none."""
    if source in _OURS:
        return _OURS[source]
    named = _PARTNER.fullmatch(source or "")
    return named[1] if named and named[1] not in believed else None
