"""What of a message may be shown: names we know with values that can only be identifiers, numbers or times.

All else may name a patient: a description, a field nobody knows, a value in the wrong place.
"""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from services.registration_service.ops.letter import LONGEST_LOOKED_INTO, token
from shared.events import Context, DicomStored, Event, ExamUpserted, Origin

MASKED = "***"
_OTHERS = "otherFields"  # how many more there are: their names may hold anything as well

Known = dict[str, "Known | None"]
_HIDDEN = {"description", "patientID"}
_HEADERS = (
    "x-attempt",
    "x-fingerprint",
    "x-first",
    "x-last",
    "x-queue",
    "x-publisher",
    "x-routing-key",
    "x-delivery-count",
)
_DEATH = ("queue", "reason", "count", "time", "exchange", "routing-keys")


def _names(model: type[BaseModel], **nested: Known) -> Known:
    fields = [field.alias or name for name, field in model.model_fields.items()]
    return {name: nested.get(name) for name in fields if name not in _HIDDEN}


_DATA = _names(DicomStored, origin=_names(Origin), context=_names(Context)) | _names(ExamUpserted)
_EVENT = _names(Event, data=_DATA)


def shown_event(body: bytes) -> Any:
    """The event in a body, masked; where it is none, a sentence that says so."""
    if len(body) > LONGEST_LOOKED_INTO:
        return "too large to show"
    try:
        return _shown(json.loads(body), _EVENT)
    except (ValueError, RecursionError):
        return "not JSON"


def shown_headers(headers: Mapping[str, Any]) -> dict[str, object]:
    """Our own headers and the broker's, but for the reason, which a sender can write; how many others there are."""
    shown: dict[str, object] = {name: _value(headers[name]) for name in _HEADERS if name in headers}
    deaths = headers.get("x-death")
    if isinstance(deaths, list):
        shown["x-death"] = [{n: _value(d.get(n)) for n in _DEATH if n in d} for d in deaths if isinstance(d, dict)]
    return shown | {_OTHERS: len(headers) - len(shown)}


def _shown(value: Any, known: Known | None) -> Any:
    if known is None or not isinstance(value, dict):
        return _value(value)
    shown = {name: _shown(value[name], known[name]) for name in known if name in value}
    hidden = {name: MASKED for name in value if name in _HIDDEN}
    others = len(value) - len(shown) - len(hidden)
    return shown | hidden | ({_OTHERS: others} if others else {})


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return [_value(one) for one in value[:100]]
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return token(value) or MASKED
