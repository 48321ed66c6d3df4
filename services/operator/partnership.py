"""Makes, changes, lists and removes partners on the broker: partner_rights.py says what one has.

A partner is known by its user's tag. Every step compares before it changes, so whatever stopped halfway is made whole
by the same command again.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from services.operator.broker_admin import BrokerAdmin
from services.operator.errors import OperatorError
from services.operator.partner_rights import (
    EXCHANGE,
    IMAGE_NEWS,
    LIMITS,
    MAY_PUBLISH,
    NOBODY,
    QUEUE_ARGUMENTS,
    TAG,
    fits,
    may_be_called,
    permissions,
    queue_of,
    topics,
)

_VHOST = "%2F"


@dataclass(frozen=True)
class Added:
    """What `add` changed, in words; the password where there is a new one."""

    changes: list[str]
    password: str | None


@dataclass(frozen=True)
class Partner:
    """A partner as it stands. `queue` is None where that is gone."""

    name: str
    publishes: list[str]
    listens: list[str]
    queue: "Depth | None"
    connections: int


@dataclass(frozen=True)
class Depth:
    """What lies in a queue. `waiting` is None until the broker has counted, `longest` where no policy bounds it.

    `fill` is 0 to 1, by count or by bytes; at 1 the oldest are dropped.
    """

    waiting: int | None
    longest: int | None
    fill: float


class Partners:
    """Adds, lists and removes."""

    def __init__(self, admin: BrokerAdmin) -> None:
        self._admin = admin

    def add(
        self, name: str, listen: Collection[str] | None, publish: Collection[str] | None, *, new_password: bool
    ) -> Added:
        """Make the partner, or change it; None keeps what stands, and is the default for a new one.

        The user comes after its queue, and its rights come last and the narrower ones first: whatever stops halfway
        leaves a partner that may do less than it should, never more.
        """
        new = not self._is_there(name)
        changes = self._have_queue(name)
        changes += self._bind(name, listen if listen is not None or not new else IMAGE_NEWS)
        password = None
        if new or new_password:
            password = secrets.token_urlsafe(32)
            self._admin.put(f"/users/{name}", {"password": password, "tags": TAG})
            changes.append(f"user {name} made" if new else "new password; the old one no longer opens a connection")
        return Added(changes + self._limit(name) + self._allow(name, publish), password)

    def remove(self, name: str, *, force: bool) -> None:
        """The queue, then the user; the broker ends the user's connections. `force`: whatever lies in the queue."""
        if not self._is_there(name):
            raise OperatorError(f"There is no partner {name}: 'examflow partner list' shows them all.")
        queue = _queue(name)
        # In hand of a consumer is not empty either, and the broker counts only what is not.
        in_hand = (self._admin.find(queue) or {}).get("messages_unacknowledged", 0)
        if not force and (in_hand or not self._admin.delete(f"{queue}?if-empty=true")):
            raise OperatorError(f"Messages lie in the queue {queue_of(name)}; --force drops them. Nothing was changed.")
        self._admin.delete(queue)
        self._admin.delete(f"/users/{name}")

    def all(self) -> list[Partner]:
        """Every partner, by name."""
        names = sorted(user["name"] for user in self._admin.find("/users") if _is_partner(user))
        connected = [connection.get("user") for connection in self._admin.find("/connections")]
        return [self._one(name, connected.count(name)) for name in names]

    def amqp_address(self) -> str:
        """Where the broker says that it listens: behind a published port this is another one."""
        listeners: list[dict[str, Any]] = self._admin.find("/overview")["listeners"]
        port = next((one["port"] for one in listeners if one["protocol"] == "amqp"), 5672)
        return f"{self._admin.host}:{port}"

    def _is_there(self, name: str) -> bool:
        if not may_be_called(name):
            raise OperatorError(f"A partner's name is 2 to 31 of a-z, 0-9 and -, and not {NOBODY}; such as his-north.")
        user = self._admin.find(f"/users/{name}")
        if user is not None and not _is_partner(user):
            raise OperatorError(f"{name} is a broker user that is no partner; choose another name.")
        return user is not None

    def _have_queue(self, name: str) -> list[str]:
        if self._admin.find(_queue(name)) is not None:
            return []
        self._admin.put(_queue(name), {"durable": True, "arguments": QUEUE_ARGUMENTS})
        return [f"queue {queue_of(name)} made"]

    def _bindings(self, name: str) -> dict[str, str]:
        """What the queue listens to, each with the key under which RabbitMQ keeps the binding."""
        found = self._admin.find(f"{_queue(name)}/bindings") or []
        return {one["routing_key"]: one["properties_key"] for one in found if one["source"] == EXCHANGE}

    def _bind(self, name: str, wanted: Collection[str] | None) -> list[str]:
        bound = self._bindings(name)
        if wanted is None:
            return []
        path = f"/bindings/{_VHOST}/e/{EXCHANGE}/q/{queue_of(name)}"
        for key in sorted(set(wanted) - set(bound)):
            self._admin.post(path, {"routing_key": key})
        for key in sorted(set(bound) - set(wanted)):
            self._admin.delete(f"{path}/{bound[key]}")
        if set(wanted) == set(bound):
            return []
        return [f"listens to {', '.join(sorted(wanted)) or 'nothing'}"]

    def _limit(self, name: str) -> list[str]:
        found = self._admin.find(f"/user-limits/{name}") or []
        stands = found[0]["value"] if found else {}
        for limit, value in LIMITS.items():
            if stands.get(limit) != value:
                self._admin.put(f"/user-limits/{name}/{limit}", {"value": value})
        return [] if stands == LIMITS else [f"{limit} {value}" for limit, value in LIMITS.items()]

    def _publishes(self, name: str) -> list[str] | None:
        """What it may publish, None where that was never said."""
        found = self._admin.find(f"/topic-permissions/{_VHOST}/{name}") or []
        rules = [rule["write"] for rule in found if rule["exchange"] == EXCHANGE]
        return [key for key in MAY_PUBLISH if fits(rules[0], key)] if rules else None

    def _allow(self, name: str, wanted: Collection[str] | None) -> list[str]:
        stands = self._publishes(name)
        if wanted is None:
            wanted = MAY_PUBLISH if stands is None else stands
        may_say = sorted(wanted)
        self._admin.put(f"/topic-permissions/{_VHOST}/{name}", topics(may_say))
        self._admin.put(f"/permissions/{_VHOST}/{name}", permissions(name, may_say))
        return [] if stands == may_say else [f"may publish {', '.join(may_say) or 'nothing'}"]

    def _one(self, name: str, connections: int) -> Partner:
        queue = self._admin.find(_queue(name))
        depth = None if queue is None else _depth(queue)
        return Partner(name, self._publishes(name) or [], sorted(self._bindings(name)), depth, connections)


def _depth(queue: dict[str, Any]) -> Depth:
    policy = queue.get("effective_policy_definition") or {}
    longest, largest = policy.get("max-length"), policy.get("max-length-bytes")
    parts = ((queue.get("messages", 0), longest), (queue.get("message_bytes", 0), largest))
    return Depth(queue.get("messages"), longest, max((part / whole for part, whole in parts if whole), default=0.0))


def _queue(name: str) -> str:
    return f"/queues/{_VHOST}/{queue_of(name)}"


def _is_partner(user: dict[str, Any]) -> bool:
    """Tags come as a list, from older brokers as text."""
    tags = user["tags"]
    return TAG in (tags.split(",") if isinstance(tags, str) else tags)
