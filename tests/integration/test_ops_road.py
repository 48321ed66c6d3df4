"""The running service: a dead letter whose cause was mended becomes a record when it is replayed."""

from datetime import UTC, datetime
from typing import Any

from deploy.local.system import System
from services.registration_service.consumers import EXAM_QUEUE, STORED_QUEUE
from services.registration_service.copies import fingerprint
from shared.events import CONTENT_TYPE, Event, ExamUpserted
from tests.integration import given, scratch
from tests.integration.queues import channel_of, send
from tests.running import Running, eventually


async def _dead_letter(system: System, body: bytes, reason: str, queue: str = STORED_QUEUE) -> None:
    """As the running service makes it when all attempts at a message are used up."""
    headers = {
        "x-attempt": 4,
        "x-reason": reason,
        "x-fingerprint": fingerprint(queue, reason),
        "x-first": datetime.now(UTC).isoformat(),
        "x-last": datetime.now(UTC).isoformat(),
        "x-queue": queue,
        "x-publisher": "upload",
        "x-routing-key": "dicom.stored",
    }
    async with channel_of(system, "registration") as channel:
        usual: dict[str, Any] = {"user_id": "registration", "content_type": CONTENT_TYPE, "delivery_mode": 2}
        await send(channel, body, "registration.dead", headers=headers, **usual)


async def test_found_tried_replayed_and_registered(system: System, running: Running) -> None:
    exam = given.name()
    running.open_exam(exam, "user:alice")
    data = given.image(exam=exam)
    reason = f"a defect {exam}"
    await _dead_letter(system, given.event(data).model_dump_json(by_alias=True).encode(), reason)
    ops = running.client("olga", "ops")
    cause = fingerprint(STORED_QUEUE, reason)
    listed = ops.get("/ops/dead-letters", params={"cause": cause}).json()
    assert (listed["total"], listed["groups"][0]["reason"]) == (1, reason)
    tried = ops.post("/ops/dead-letters/replay", json={"cause": cause, "dryRun": True}).json()
    assert tried == {
        "dryRun": True,
        "tried": [listed["items"][0]["id"]],
        "outcomes": [
            {"outcome": "create", "code": "registered", "reason": "the image would be registered", "count": 1}
        ],
        "unknown": [],
        "more": False,
    }
    query = "SELECT state FROM intake_ledger WHERE orthanc_id = :id"
    assert await scratch.fetch(system, "examflow", query, id=data.orthanc_instance_id) == []
    done = ops.post("/ops/dead-letters/replay", json={"cause": cause}).json()
    assert done["done"] == tried["tried"]
    state = eventually(lambda: _state(running, data.orthanc_instance_id))
    assert state == "registered"
    assert ops.get("/ops/dead-letters", params={"cause": cause}).json()["total"] == 0


async def test_what_was_smuggled_into_a_queue_is_not_let_in_by_a_replay(system: System, running: Running) -> None:
    """RabbitMQ 3.10 delivers by the header CC without asking; a replay goes straight into the queue."""
    exam = given.name()
    event = Event.about(
        ExamUpserted(examen_id=exam, version=1), source="/partner/ris", subject=exam, correlation_id=None
    )
    reason = f"smuggled {exam}"
    await _dead_letter(system, event.model_dump_json(by_alias=True).encode(), reason, EXAM_QUEUE)
    ops, cause = running.client("olga", "ops"), fingerprint(EXAM_QUEUE, reason)
    tried = ops.post("/ops/dead-letters/replay", json={"cause": cause, "dryRun": True}).json()
    assert [one["outcome"] for one in tried["outcomes"]] == ["fail"]
    assert len(ops.post("/ops/dead-letters/replay", json={"cause": cause}).json()["done"]) == 1
    again = fingerprint(EXAM_QUEUE, tried["outcomes"][0]["reason"])
    found = eventually(lambda: ops.get("/ops/dead-letters", params={"cause": again}).json()["items"])
    assert exam in {one["subject"] for one in found}
    assert running.client("his", "exams:write").get(f"/examens-medicaux/{exam}").status_code == 404
    mine = [one["id"] for one in found if one["subject"] == exam]
    ops.post("/ops/dead-letters/drop", json={"ids": mine, "reason": "a test"})


def _state(running: Running, orthanc_id: str) -> str | None:
    answer = running.client("alice").get(f"/dicom/instances/{orthanc_id}/registration")
    return str(answer.json()["state"]) if answer.status_code == 200 else None
