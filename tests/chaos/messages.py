"""Messages of a row's own, sent as one of our users sends them, and dead letters with all that stands on them."""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from shared.events import CONTENT_TYPE
from tests.chaos.lab import Lab
from tests.chaos.stores import DEAD, TOLD
from tests.integration.queues import channel_of, send


@dataclass(frozen=True)
class Outgoing:
    """A message that is to be sent to the exchange."""

    body: bytes
    routing_key: str = "dicom.stored"
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Letter:
    """A dead letter."""

    message_id: str
    headers: dict[str, Any]
    size: int
    orthanc_id: str | None


def publish(lab: Lab, user: str, messages: Iterable[Outgoing]) -> list[str]:
    """Send them, each confirmed; returns their message ids."""
    return lab.background.run(published(lab, user, messages))


async def published(lab: Lab, user: str, messages: Iterable[Outgoing]) -> list[str]:
    """The same inside an event loop."""
    usual = {"user_id": user, "content_type": CONTENT_TYPE, "delivery_mode": 2}
    async with channel_of(lab.setup.direct, user) as channel:
        return [
            await send(channel, m.body, m.routing_key, "medical-images", **(usual | m.properties)) for m in messages
        ]


def told(lab: Lab) -> list[dict[str, Any]]:
    """The events that said an image is stored, whole, in order; what is no JSON is left out."""
    found = []
    for message in _peeked(lab, TOLD):
        with contextlib.suppress(ValueError):
            found.append(json.loads(message["payload"]))
    return found


def letters(lab: Lab) -> list[Letter]:
    """What lies in the dead letters; it stays there."""
    return [_letter(found) for found in _peeked(lab, DEAD)]


def _peeked(lab: Lab, queue: str) -> list[dict[str, Any]]:
    asked = {"count": 1_000_000, "ackmode": "ack_requeue_true", "encoding": "auto"}
    found: list[dict[str, Any]] = lab.queues.http.post(f"/queues/%2F/{queue}/get", json=asked).raise_for_status().json()
    return found


def _letter(found: dict[str, Any]) -> Letter:
    properties = found["properties"]
    try:
        orthanc_id = json.loads(found["payload"])["data"]["orthancInstanceId"]
    except (ValueError, KeyError, TypeError):
        orthanc_id = None
    return Letter(properties["message_id"], properties["headers"], found["payload_bytes"], orthanc_id)
