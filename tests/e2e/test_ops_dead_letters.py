"""Dead letters from an operator's chair: the command and the addresses that it uses."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import dicom_files
from tests.e2e.operator import EXAMFLOW, environment, examflow, publish
from tests.running import Running, eventually, registered, upload

PATIENT = "Mme Dupont"
EXAMPLE = json.loads(Path("docs/events/dicom.stored.example.json").read_text())


def broken(field: str, **data: Any) -> dict[str, Any]:
    """An event whose one field does not fit."""
    context = {"examenID": "EX-4711", "description": PATIENT}
    event: dict[str, Any] = EXAMPLE | {"data": EXAMPLE["data"] | {field: PATIENT, "context": context} | data}
    return event


@pytest.fixture
def ops(running: Running) -> httpx.Client:
    return running.client("olga", "ops")


def letters(ops: httpx.Client, *message_ids: str) -> list[dict[str, Any]]:
    """The dead letters of these messages, once all are there."""

    def ask() -> list[dict[str, Any]] | None:
        items = ops.get("/ops/dead-letters", params={"limit": 100_000}).json()["items"]
        mine = [one for one in items if one["messageId"] in message_ids]
        return mine if len(mine) == len(message_ids) else None

    return eventually(ask, what="the dead letters")


@pytest.mark.parametrize("scope", ["exams:all dicom:upload images:write images:read exams:write audit:read", ""])
def test_they_are_for_operators_alone(running: Running, scope: str) -> None:
    other = running.client("alice", scope)
    for method, path in (
        ("GET", "/ops/dead-letters"),
        ("GET", "/ops/dead-letters/0123456789abcdef"),
        ("POST", "/ops/dead-letters/replay"),
        ("POST", "/ops/dead-letters/drop"),
        ("POST", "/events/validate"),
    ):
        body = {"all": True, "reason": "mine"} if method == "POST" else None
        assert other.request(method, path, json=body).json()["type"] == "/problems/scope-missing"
        assert running.at("EXAMFLOW_URL").request(method, path, json=body).status_code == 401


def test_a_letter_over_http(running: Running, ops: httpx.Client) -> None:
    message_id = publish(running, broken("size"))
    [letter] = letters(ops, message_id)
    assert letter == {
        "id": letter["id"],
        "queue": "registration.dicom-stored",
        "reason": "data.size: Input should be a valid integer, unable to parse string as an integer",
        "cause": letter["cause"],
        "attempt": 1,
        "first": letter["first"],
        "last": letter["first"],
        "publisher": "admin",
        "type": "dicom.stored",
        "subject": EXAMPLE["subject"],
        "messageId": message_id,
        "correlationId": EXAMPLE["correlationid"],
        "size": letter["size"],
    }
    whole = ops.get(f"/ops/dead-letters/{letter['id']}")
    assert PATIENT not in whole.text
    assert whole.json()["event"]["data"]["context"] == {"examenID": "EX-4711", "description": "***"}
    unknown = ops.get("/ops/dead-letters/0123456789abcdef")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/dead-letter-unknown")
    dropped = ops.post("/ops/dead-letters/drop", json={"ids": [letter["id"]], "reason": "a test"})
    assert dropped.json() == {"done": [letter["id"]], "refused": {}, "unknown": [], "more": False}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("replay", {}),
        ("replay", {"all": True, "cause": "0" * 16}),
        ("replay", {"all": False}),
        ("replay", {"ids": []}),
        ("replay", {"ids": ["x"]}),
        ("replay", {"all": True, "limit": 2001}),
        ("drop", {"all": True}),
        ("drop", {"all": True, "reason": "   "}),
        ("drop", {"reason": "which?"}),
    ],
)
def test_what_is_meant_and_why_must_be_said(ops: httpx.Client, path: str, body: dict[str, Any]) -> None:
    answer = ops.post(f"/ops/dead-letters/{path}", json=body)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-input")


def test_one_that_fails_again_comes_back_once(running: Running, ops: httpx.Client) -> None:
    message_id = publish(running, broken("digest"))
    [letter] = letters(ops, message_id)
    replayed = examflow(running, "dead-letters", "replay", letter["id"][:12])
    assert (replayed.returncode, replayed.stdout.split(".")[0]) == (0, "Sent again: 1 of 1 done")
    [again] = eventually(lambda: [one for one in letters(ops, message_id) if one["id"] != letter["id"]])
    assert (again["first"], again["attempt"]) == (letter["first"], 1)
    assert again["last"] > letter["last"]
    time.sleep(0.5)
    assert [one["id"] for one in letters(ops, message_id)] == [again["id"]]
    examflow(running, "dead-letters", "drop", again["id"], "--reason", "a test", "--yes")


def test_the_command_from_the_list_to_the_drop(running: Running, ops: httpx.Client) -> None:
    message_id = publish(running, broken("size"))
    [letter] = letters(ops, message_id)
    listed = examflow(running, "dead-letters", "list", "--cause", letter["cause"][:10])
    assert listed.returncode == 0
    assert letter["id"][:10] in listed.stdout
    assert "data.size: Input should be a valid integer" in listed.stdout
    shown = examflow(running, "dead-letters", "show", letter["id"][:10])
    assert f"id:            {letter['id']}" in shown.stdout
    assert PATIENT not in shown.stdout
    tried = examflow(running, "dead-letters", "replay", "--cause", letter["cause"], "--dry-run")
    assert "If they were sent again now: fail again 1" in tried.stdout
    assert [one["id"] for one in letters(ops, message_id)] == [letter["id"]]
    asked = examflow(running, "dead-letters", "drop", "--cause", letter["cause"], "--reason", "a test", text="n\n")
    assert (asked.returncode, len(letters(ops, message_id))) == (1, 1)
    dropped = examflow(running, "dead-letters", "drop", "--cause", letter["cause"], "--reason", "a test", "--yes")
    assert (dropped.returncode, dropped.stdout) == (0, "Dropped: 1 of 1 done.\n")
    gone = examflow(running, "dead-letters", "show", letter["id"])
    assert (gone.returncode, gone.stderr.split(";")[0]) == (1, f"{letter['id']}: there is no dead letter")


def test_scripts_get_json(running: Running, ops: httpx.Client) -> None:
    message_id = publish(running, b"{")
    [letter] = letters(ops, message_id)
    listed = json.loads(examflow(running, "dead-letters", "list", "--limit", "100000", "--json").stdout)
    assert letter["id"] in {one["id"] for one in listed["items"]}
    assert json.loads(examflow(running, "dead-letters", "show", letter["id"], "--json").stdout)["event"] == "not JSON"
    examflow(running, "dead-letters", "drop", letter["id"], "--reason", "a test", "--yes")


def test_the_command_says_what_it_lacks(running: Running) -> None:
    which = examflow(running, "dead-letters", "replay")
    assert (which.returncode, "say which letters" in which.stderr) == (2, True)
    why = examflow(running, "dead-letters", "drop", "--all", "--yes")
    assert (why.returncode, "--reason" in why.stderr) == (2, True)
    denied = examflow(running, "dead-letters", "list", scope="images:read")
    assert (denied.returncode, "lacks the scope 'ops'" in denied.stderr) == (1, True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_it_stops_between_two_batches(running: Running, ops: httpx.Client, number: int, code: int) -> None:
    ids = [publish(running, broken("digest")) for _ in range(6)]
    before = {one["id"] for one in letters(ops, *ids)}
    command = [*EXAMFLOW, "dead-letters", "replay", *before, "--rate", "0.5"]
    run = subprocess.Popen(command, env=environment(running), stdout=subprocess.PIPE, text=True)
    eventually(lambda: {one["id"] for one in letters(ops, *ids)} != before, what="the first batch")
    run.send_signal(number)
    said, _ = run.communicate(timeout=20)
    assert run.returncode == code
    assert "Stopped; the others are where they were." in said
    done = int(said.split("Sent again: ")[1].split()[0])
    assert 1 <= done < 6

    def all_back() -> bool:
        return len(before - {one["id"] for one in letters(ops, *ids)}) == done

    eventually(all_back, what="those that failed again")
    cause = letters(ops, *ids)[0]["cause"]
    examflow(running, "dead-letters", "drop", "--cause", cause, "--reason", "a test", "--yes")


@pytest.mark.parametrize(
    ("changes", "outcome", "code"),
    [
        ({}, "wait", "exam-unknown"),
        ({"source": "/partner/ris"}, "fail", "not-stored"),
        ({"source": "/partner/upload"}, "fail", "source-unknown"),
        ({"source": "elsewhere"}, "fail", "source-unknown"),
        ({"type": "image.registered"}, "fail", "type-not-taken"),
        ({"specversion": "0.3"}, "fail", "unreadable"),
    ],
)
def test_what_would_become_of_an_event(
    running: Running, ops: httpx.Client, tmp_path: Path, changes: dict[str, str], outcome: str, code: str
) -> None:
    event = (
        EXAMPLE | {"data": EXAMPLE["data"] | {"context": {"examenID": "EX-NEVER", "description": PATIENT}}} | changes
    )
    answer = ops.post("/events/validate", json=event)
    assert (answer.status_code, answer.json()["outcome"], answer.json()["code"]) == (200, outcome, code)
    assert PATIENT not in answer.text
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event))
    said = examflow(running, "events", "validate", str(file))
    assert (said.returncode, said.stdout.split(":")[0]) == (1, outcome)


def test_what_would_be_done_exits_with_0(running: Running, ops: httpx.Client) -> None:
    running.open_exam("EX-VALIDATE", "user:alice")
    alice = running.client("alice")
    data = upload(alice, dicom_files.fresh("CT_small.dcm"), examenID="EX-VALIDATE").json()["data"]
    registered(alice, data["ID"])
    mine = {
        "orthancInstanceId": data["ID"],
        "studyInstanceUID": data["StudyInstanceUID"],
        "seriesInstanceUID": data["SeriesInstanceUID"],
        "sopInstanceUID": data["SOPInstanceUID"],
        "context": {"examenID": "EX-VALIDATE"},
    }
    event = EXAMPLE | {"data": EXAMPLE["data"] | mine}
    said = examflow(running, "events", "validate", "-", text=json.dumps(event))
    assert (said.returncode, said.stdout.splitlines()[0]) == (
        0,
        "skip: the image is registered already (registered-already)",
    )
    fresh = {"sopInstanceUID": dicom_files.fresh_uid(), "orthancInstanceId": "0-0-0-0-0"}
    origin = EXAMPLE["data"]["origin"] | {"actor": "alice", "groups": []}
    new = event | {"data": event["data"] | fresh | {"origin": origin}}
    assert ops.post("/events/validate", json=new).json()["outcome"] == "create"
    assert ops.get("/dicom/instances/0-0-0-0-0/registration").status_code in (403, 404)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff", b"[" * 100_000])
def test_what_is_no_event_is_told(ops: httpx.Client, body: bytes) -> None:
    answer = ops.post("/events/validate", content=body)
    assert (answer.status_code, answer.json()["outcome"], answer.json()["code"]) == (200, "fail", "unreadable")


def test_a_body_is_bounded(running: Running) -> None:
    token = running.token("olga", "ops")
    direct = running.at("REGISTRATION_URL", Authorization=f"Bearer {token}")
    answer = direct.post("/events/validate", content=b" " * 2_000_000)
    assert answer.json()["reason"] == "body: larger than 1048576 bytes"
