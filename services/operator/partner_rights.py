"""What a partner has on the broker: the right to say its events, a queue of its own, limits. Nothing else.

The queue's bound is the policy `partner` in deploy/rabbitmq/definitions.json.
"""

import re
from collections.abc import Collection
from typing import Any

from shared.events import (
    DicomStored,
    ExamRightsChanged,
    ExamUpserted,
    ImageMoved,
    ImageRefused,
    ImageRegistered,
    ImageWaiting,
)

MAY_PUBLISH = (DicomStored.event_type, ExamUpserted.event_type)
IMAGE_NEWS = tuple(data.event_type for data in (ImageRegistered, ImageWaiting, ImageRefused, ImageMoved))
MAY_HEAR = (*IMAGE_NEWS, ExamRightsChanged.event_type)
LIMITS = {"max-connections": 10, "max-channels": 100}
# Classic, and said so: a broker's default may be quorum, which could keep a publisher waiting (docs/decisions).
QUEUE_ARGUMENTS = {"x-queue-type": "classic"}
EXCHANGE = "medical-images"
TAG = "partner"
NOBODY = "unknown"  # what the audit trail says where a message did not tell its user
_NAME = re.compile(r"[a-z][a-z0-9-]{0,29}[a-z0-9]")


def may_be_called(name: str) -> bool:
    """Whether a partner may have this name; that of a queue and of a path's part too."""
    return _NAME.fullmatch(name) is not None and name != NOBODY


def queue_of(name: str) -> str:
    """The partner's own queue."""
    return f"partner.{name}"


def permissions(name: str, publishes: Collection[str]) -> dict[str, Any]:
    """Binding reads the exchange and writes the queue. Nothing may be configured: no queue of any name be declared."""
    writes = [EXCHANGE, queue_of(name)] if publishes else [queue_of(name)]
    return {"configure": "^$", "write": _exactly(writes), "read": _exactly([EXCHANGE, queue_of(name)])}


def topics(publishes: Collection[str]) -> dict[str, Any]:
    """Which routing keys it may publish with and bind."""
    return {"exchange": EXCHANGE, "write": _exactly(publishes), "read": _exactly(MAY_HEAR)}


def fits(pattern: str, name: str) -> bool:
    """Whether a pattern of RabbitMQ's permissions fits; it may anywhere, unless anchored."""
    return re.search(pattern, name) is not None


def _exactly(names: Collection[str]) -> str:
    """A pattern that fits these names and no others; with no name, nothing at all."""
    return "^(" + "|".join(re.escape(name) for name in names) + ")$" if names else "^(?!)"
