"""What one dead letter says of itself, without its body. Headers are believed where the copy is ours alone."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aio_pika.abc import AbstractIncomingMessage

from services.registration_service.consumers import WORK_QUEUES
from services.registration_service.copies import Told, fingerprint

LONGEST_LOOKED_INTO = 1024 * 1024  # a larger body is no event
# Identifiers, times and numbers; free text, which may name a patient, has blanks, carets or accents.
_TOKEN = re.compile(r"[A-Za-z0-9._:/@+-]{1,255}")


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. `id` stays the same as long as it lies there; `queue` is empty where nobody knows it.

    `cause` is equal for equal troubles. `subject` is the event's; `sop_instance_uid` and `exam_id` are what its data
    names; `routing_key` is the one that it was published with. None stands for what is missing, and for what might be
    free text.
    """

    id: str
    queue: str
    reason: str
    cause: str
    attempt: int
    first: datetime | None
    last: datetime | None
    publisher: str | None
    type: str | None
    subject: str | None
    message_id: str | None
    correlation_id: str | None
    sop_instance_uid: str | None
    exam_id: str | None
    routing_key: str | None
    size: int

    @property
    def about(self) -> str:
        """What an audit record names: the image, else what else is known."""
        return self.sop_instance_uid or self.subject or f"dead-letter {self.id}"


def read_letter(message: AbstractIncomingMessage, told: Told) -> Letter:
    """The letter in a message of `registration.dead`."""
    event = _event(message.body)
    data = event.get("data")
    data = data if isinstance(data, dict) else {}
    death = _death(message.headers)
    # What the broker put there is no copy of ours any more, even where it once was: it says itself from where.
    queue = str(death.get("queue", "") if death else told.ours.get("x-queue", ""))
    reason = f"returned by the broker: {death.get('reason')}" if death else str(told.ours.get("x-reason", "unknown"))
    last = _time(death.get("time") if death else told.ours.get("x-last"))
    return Letter(
        id=_identity(message, told, death),
        queue=queue if queue in WORK_QUEUES else "",
        reason=reason,
        cause=fingerprint(queue, reason),
        attempt=told.attempt,
        first=_time(told.first) or last,
        last=last,
        publisher=token(told.publisher),
        type=token(event.get("type")) or token(message.type),
        subject=token(event.get("subject")),
        message_id=token(message.message_id),
        correlation_id=token(event.get("correlationid")) or token(message.correlation_id),
        sop_instance_uid=token(data.get("sopInstanceUID")),
        exam_id=_exam(data),
        routing_key=token(told.ours.get("x-routing-key", _first_key(death))),
        size=len(message.body),
    )


def token(value: object) -> str | None:
    """The text, if it can only be an identifier, a time or the like."""
    return value if isinstance(value, str) and _TOKEN.fullmatch(value) else None


def _identity(message: AbstractIncomingMessage, told: Told, death: Mapping[str, Any]) -> str:
    """From what does not change while the letter lies there; the broker's count of deliveries does."""
    parts = (
        message.message_id,
        message.correlation_id,
        told.publisher,
        sorted(told.ours.items()),
        sorted(death.items()),
    )
    digest = hashlib.sha256(repr(parts).encode())
    digest.update(message.body)
    return digest.hexdigest()[:16]


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The newest entry of the broker's x-death; empty where our copy was put there by us (copies.py drops it)."""
    deaths = headers.get("x-death")
    newest = deaths[0] if isinstance(deaths, list) and deaths else None
    if not isinstance(newest, dict):
        return {}
    return {name: newest.get(name) for name in ("queue", "reason", "time", "count", "routing-keys")}


def _first_key(death: Mapping[str, Any]) -> object:
    keys = death.get("routing-keys")
    return keys[0] if isinstance(keys, list) and keys else None


def _event(body: bytes) -> dict[str, Any]:
    if len(body) > LONGEST_LOOKED_INTO:
        return {}
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _exam(data: Mapping[str, Any]) -> str | None:
    context = data.get("context")
    named = data.get("examenID") or (context.get("examenID") if isinstance(context, dict) else None)
    exam = token(named)
    return exam if exam and len(exam) <= 36 else None


def _time(value: object) -> datetime | None:
    """x-death's time is in whole seconds of UTC, ours in ISO 8601."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
