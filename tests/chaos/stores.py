"""Orthanc, PostgreSQL and the queues, as their administrators see them: past the proxies, read whole, made empty."""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from sqlalchemy.exc import DBAPIError

from deploy.local.system import System
from shared.orthanc import PARKED
from tests.chaos.facts import Entry, Message, Record, Stored
from tests.integration import scratch
from tests.running import eventually

OURS, DEAD = "registration.", "registration.dead"
TOLD, ANNOUNCED = "lab.told", "lab.announced"  # copies of what the services say
TAPS = {TOLD: ["dicom.stored"], ANNOUNCED: ["image.registered", "image.waiting", "image.refused", "image.moved"]}
READERS = 4
LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL, appendix A


class Orthanc:
    """The PACS."""

    def __init__(self, direct: System) -> None:
        auth = ("admin", direct.secrets.orthanc_admin)
        self.http = httpx.Client(
            base_url=f"http://{direct.backing.orthanc}", auth=auth, timeout=60, trust_env=False, limits=_LIMITS
        )

    def count(self) -> int:
        return int(self._get("/statistics")["CountInstances"])

    def newest_change(self) -> int:
        # Asked beyond its end the feed tells its newest number, even where all its rows were deleted.
        return int(self._get(f"/changes?since={2**62}&limit=1")["Last"])

    def instances(self) -> dict[str, Stored]:
        """All of them, each file read back."""
        found = [(one["ID"], one["MainDicomTags"]["SOPInstanceUID"]) for one in self._get("/instances?expand")]
        with ThreadPoolExecutor(READERS) as pool:
            digests = pool.map(self._digest, [orthanc_id for orthanc_id, _ in found])
            return {i: Stored(sop, digest) for (i, sop), digest in zip(found, digests, strict=True)}

    def _digest(self, orthanc_id: str) -> str:
        answer = self.http.get(f"/instances/{orthanc_id}/file")
        return hashlib.md5(answer.content, usedforsecurity=False).hexdigest() if answer.is_success else ""

    def parked(self, ids: Iterable[str]) -> set[str]:
        """Those of the instances that have a context parked on them."""
        with ThreadPoolExecutor(READERS) as pool:
            wanted = [*ids]
            answers = pool.map(lambda i: self.http.get(f"/instances/{i}/metadata/{PARKED}").is_success, wanted)
            return {orthanc_id for orthanc_id, there in zip(wanted, answers, strict=True) if there}

    def delete(self, ids: Iterable[str]) -> None:
        for orthanc_id in ids:
            self.http.delete(f"/instances/{orthanc_id}").raise_for_status()

    def clear_changes(self) -> None:
        self.http.delete("/changes").raise_for_status()

    def empty(self) -> None:
        for patient in self._get("/patients"):
            self.http.delete(f"/patients/{patient}").raise_for_status()
        self.clear_changes()
        self.http.delete("/exports").raise_for_status()

    def _get(self, path: str) -> Any:
        return self.http.get(path).raise_for_status().json()


class Tables:
    """PostgreSQL."""

    def __init__(self, direct: System) -> None:
        self._direct = direct

    def ask(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        return scratch.ask(self._direct, "examflow", query, **values)

    def records(self) -> list[Record]:
        query = 'SELECT "sopInstanceUID", "examenID", "orthancInstanceId", description FROM images_medicales ORDER BY 1'
        return [Record(*row) for row in self.ask(query)]

    def ledger(self) -> dict[str, Entry]:
        query = """
            SELECT orthanc_id, state, code, reason, wanted_exam_id, conflict_exam_id, accession_number, uploaders,
                   origin->>'kind' FROM intake_ledger
        """
        return {row[0]: Entry(*row[1:]) for row in self.ask(query)}

    def exams(self) -> dict[str, str | None]:
        return dict(row for row in self.ask('SELECT "examenID", "accessionNumber" FROM examens_medicaux'))

    def uploads_audited(self) -> set[tuple[str, str]]:
        """SOP Instance UID and actor of each upload that the audit trail tells of."""
        return set(self.ask("SELECT subject, actor FROM audit_events WHERE action = 'image.upload'"))

    def undone(self, newest_change: int) -> dict[str, int]:
        """What the services have still to do, by their own tables."""
        query = """
            SELECT (SELECT count(*) FROM intake_ledger WHERE state = 'seen') AS "images to decide",
                   (SELECT count(*) FROM intake_ledger WHERE parked) AS "contexts to take off",
                   (SELECT count(*) FROM outbox) AS "announcements to send",
                   (SELECT count(*) FROM audit_unsealed) AS "audit records to seal",
                   (SELECT CASE WHEN max(seq) IS NULL OR bool_or(compare_wanted IS NOT NULL) THEN 1 ELSE 0 END
                    FROM reconciler_cursor) AS "compares to make",
                   (SELECT :newest - coalesce(max(seq), 0) FROM reconciler_cursor) AS "changes to read"
        """
        names = (
            "images to decide",
            "contexts to take off",
            "announcements to send",
            "records to seal",
            "compares",
            "changes",
        )
        found = zip(names, self.ask(query, newest=newest_change)[0], strict=True)
        return {name: count for name, count in found if count}

    def empty(self) -> None:
        """Every table but those that the migrations filled, those of tomorrow too.

        Services run meanwhile, and read the tables in an order of their own. So no lock is waited for while others are
        held, or one of the two would be ended by PostgreSQL as deadlocked.
        """
        names = ", ".join(f'"{name}"' for name in self._names())
        both = f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE NOWAIT; TRUNCATE {names} RESTART IDENTITY CASCADE"
        eventually(lambda: self._done(f"DO $$ BEGIN {both}; END $$"), what="a moment when no service reads a table")

    def _done(self, command: str) -> bool:
        """Whether it was carried out; not where another session holds what it locks."""
        try:
            self.ask(command)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            return False
        return True

    def filled(self, besides: str) -> dict[str, int]:
        """The tables that have rows, but for the one that always has."""
        names = (name for name in self._names() if name != besides)
        counts = {name: self.ask(f'SELECT count(*) FROM "{name}"')[0][0] for name in names}
        return {name: count for name, count in counts.items() if count}

    def _names(self) -> list[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> ALL(:kept)"
        return [row[0] for row in self.ask(query, kept=["alembic_version", "audit_retention"])]


class Queues:
    """RabbitMQ, through its management interface."""

    def __init__(self, direct: System) -> None:
        auth = ("admin", direct.secrets.rabbitmq_admin)
        self.http = httpx.Client(
            base_url=f"http://{direct.backing.management}/api", auth=auth, timeout=60, trust_env=False
        )

    def listen(self) -> None:
        """Begin to keep copies of all that is published."""
        for queue, keys in TAPS.items():
            self.declare(queue, *keys)

    def bind(self, queue: str, key: str) -> None:
        self.http.post(f"/bindings/%2F/e/medical-images/q/{queue}", json={"routing_key": key}).raise_for_status()

    def unbind(self, queue: str, key: str) -> None:
        self.http.delete(f"/bindings/%2F/e/medical-images/q/{queue}/{key}").raise_for_status()

    def declare(self, queue: str, *keys: str, kind: str = "quorum") -> None:
        """A queue bound to the exchange; a partner's is `classic`."""
        body = {"durable": True, "arguments": {"x-queue-type": kind}}
        self.http.put(f"/queues/%2F/{queue}", json=body).raise_for_status()
        for key in keys:
            self.bind(queue, key)

    def forget(self, queue: str) -> None:
        self.http.delete(f"/queues/%2F/{queue}").raise_for_status()

    def set_policy(self, name: str, pattern: str, definition: dict[str, Any]) -> None:
        """Above all policies of the definitions."""
        body = {"pattern": pattern, "apply-to": "queues", "priority": 9, "definition": definition}
        self.http.put(f"/policies/%2F/{name}", json=body).raise_for_status()

    def forget_policy(self, name: str) -> None:
        self.http.delete(f"/policies/%2F/{name}").raise_for_status()

    def about(self, queue: str) -> dict[str, Any]:
        """What RabbitMQ says of a queue: its `consumers`, its `effective_policy_definition`, and the like."""
        found: dict[str, Any] = self.http.get(f"/queues/%2F/{queue}").raise_for_status().json()
        return found

    def messages(self, queue: str) -> list[Message]:
        """All that lie in a queue; they stay there."""
        asked = {"count": 1_000_000, "ackmode": "ack_requeue_true", "encoding": "auto"}
        answer = self.http.post(f"/queues/%2F/{queue}/get", json=asked).raise_for_status()
        return [_message(found) for found in answer.json()]

    def told(self) -> set[str | None]:
        """The images whose `dicom.stored` has arrived."""
        return {message.orthanc_id for message in self.messages(TOLD)}

    def depths(self) -> dict[str, int]:
        """Messages of each queue, in the hand of a consumer or not. Nobody else may touch one that is exclusive."""
        found = self.http.get("/queues/%2F").raise_for_status().json()
        return {queue["name"]: queue.get("messages", 0) for queue in found if not queue.get("exclusive")}

    def undone(self) -> dict[str, int]:
        """What lies in the queues that registration works on, its retries too."""
        return {n: depth for n, depth in self.depths().items() if depth and n.startswith(OURS) and n != DEAD}

    def empty(self) -> None:
        for queue in self.depths():
            self.http.delete(f"/queues/%2F/{queue}/contents").raise_for_status()


_LIMITS = httpx.Limits(keepalive_expiry=0.5)  # Orthanc closes an idle connection after a second


def _message(found: dict[str, Any]) -> Message:
    headers = found["properties"].get("headers", {})
    try:
        event = json.loads(found["payload"])
        data = event.get("data", {})
        orthanc_id = data.get("orthancInstanceId")
    except (ValueError, AttributeError):
        event, data, orthanc_id = {}, {}, None
    return Message(event.get("id"), found["routing_key"], orthanc_id, data, headers.get("x-reason"))
