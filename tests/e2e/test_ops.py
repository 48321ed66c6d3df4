"""What an operator types, as typed: the command over the gateway, its words and its exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import dicom_files
from tests.integration import given
from tests.running import Running, eventually, registered, upload

REPO = Path(__file__).parents[2]
STORED = "registration.dicom-stored"
Examflow = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def examflow(running: Running) -> Examflow:
    """The command, with a token of olivia's."""

    def run(*words: str, scope: str = "ops", **environment: str) -> subprocess.CompletedProcess[str]:
        mine = {
            "EXAMFLOW_URL": running.env["EXAMFLOW_URL"],
            "EXAMFLOW_TOKEN": running.token("olivia", scope),
            "NO_COLOR": "1",
        }
        return subprocess.run(
            [sys.executable, "-m", "services.operator", *words],
            cwd=REPO,
            env=os.environ | mine | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def said(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def stored(running: Running, **fields: str) -> dict[str, Any]:
    """An image of alice's that waits."""
    data: dict[str, Any] = upload(running.client(), dicom_files.fresh("CT_small.dcm"), **fields).json()["data"]
    registered(running.client(), data["ID"], "waiting")
    return data


def test_status_says_what_it_found_and_its_exit_code_is_the_verdict(examflow: Examflow) -> None:
    told = json.loads(examflow("status", "--json").stdout)
    assert told["answers"] == {"PostgreSQL": "ok", "RabbitMQ": "ok", "Orthanc": "ok"}
    assert told["verdict"] != "cannot-tell"
    assert told["unaccounted"] is not None
    done = examflow("status")
    assert done.returncode == {"fine": 0, "needs-a-person": 1}[told["verdict"]]
    assert done.stdout.startswith(("Nothing is missing: ", "Needs a person: "))
    assert f"{STORED}: " in done.stdout


def test_status_that_cannot_be_had_is_2(examflow: Examflow) -> None:
    nobody = examflow("status", EXAMFLOW_URL="http://127.0.0.1:1")
    said(nobody, 2)
    assert "does not answer" in nobody.stderr
    assert "Traceback" not in nobody.stderr


ROUTES: dict[tuple[str, str], dict[str, Any] | None] = {
    ("GET", "/ops/status"): None,
    ("GET", "/ops/waiting"): None,
    ("POST", "/ops/waiting/1.2/assign"): {"examenID": "E", "reason": "r"},
    ("POST", "/ops/images/1.2/move"): {"examenID": "E", "reason": "r"},
    ("POST", "/ops/images/1.2/unlink"): {"reason": "r"},
    ("GET", "/ops/timeline/1.2"): None,
    ("POST", "/ops/reconcile"): {},
    ("GET", "/ops/consumers"): None,
    ("PUT", f"/ops/consumers/{STORED}/pause"): {"reason": "r"},
    ("DELETE", f"/ops/consumers/{STORED}/pause"): None,
}


@pytest.mark.parametrize(("route", "body"), ROUTES.items(), ids=[" ".join(route) for route in ROUTES])
def test_only_the_scope_lets_in(running: Running, route: tuple[str, str], body: dict[str, Any] | None) -> None:
    everything_else = "dicom:upload images:write images:read exams:write exams:all audit:read"
    refused = running.client("olivia", everything_else).request(*route, json=body)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/scope-missing")
    assert running.at("EXAMFLOW_URL").request(*route, json=body).status_code == 401
    allowed = running.client("olivia", "ops")
    if body and route[0] == "POST":  # the other routes are walked below
        answer = allowed.request(*route, json=body, headers={"Accept-Language": "fr"})
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-in-ledger")
        assert answer.json()["message"].startswith("Rien n'est connu ici")
        assert allowed.request(*route, json={**body, "reason": " "}).json()["errors"][0]["field"] == "reason"


def test_the_command_tells_a_refusal_in_one_sentence(examflow: Examflow) -> None:
    refused = examflow("timeline", "1.2", scope="images:read")
    said(refused, 1)
    assert "lacks the scope 'ops'" in refused.stderr
    assert "HTTP 403" in refused.stderr
    said(examflow("status", EXAMFLOW_TOKEN="rubbish"), 2)


def test_an_image_is_found_explained_and_assigned(running: Running, examflow: Examflow) -> None:
    wrong, right = given.name(), given.name()
    data = stored(running, examenID=wrong)
    running.open_exam(right, "user:bob")
    listed = said(examflow("waiting", "list", "--cause", f"exam-unknown:{wrong}"))
    assert f"exam {wrong} is not open yet" in listed
    assert "x 1" in listed
    assert data["ID"] in listed
    explained = said(examflow("timeline", data["SOPInstanceUID"]))
    assert f"examflow waiting assign {data['ID']} --exam EXAM" in explained
    done = said(examflow("waiting", "assign", data["ID"], "--exam", right, "--reason", "a typo"))
    assert f"registered under exam {right}" in done
    assert registered(running.client("bob"), data["ID"])["imageID"] in done
    told = said(examflow("timeline", data["ID"]))
    assert "a typo" in told
    assert "olivia" in told


def test_all_of_a_cause_are_assigned_and_one_that_cannot_be_holds_up_no_other(
    running: Running, examflow: Examflow
) -> None:
    wrong, right = given.name(), given.name()
    images = [stored(running, examenID=wrong)["ID"] for _ in range(3)]
    running.open_exam(right, "user:alice")
    cause = ("--cause", f"exam-unknown:{wrong}")
    asked = examflow("waiting", "assign", *cause, "--exam", right, "--reason", "r")  # nobody says yes
    said(asked, 1)
    assert "Assign 3 images" in asked.stderr
    said(examflow("waiting", "assign", *cause, "--exam", right, "--reason", "r", "--yes"))
    for image in images:
        registered(running.client(), image)
    partly = examflow("waiting", "assign", "1.2.3", images[0], "--exam", right, "--reason", "r")
    assert f"{images[0]}: registered under exam {right}" in said(partly, 1)
    assert "1.2.3: Nothing is known here" in partly.stderr


def test_a_wrongly_linked_image_is_moved_and_unlinked(running: Running, examflow: Examflow) -> None:
    first, second = given.name(), given.name()
    for exam in (first, second):
        running.open_exam(exam, "user:alice")
    alice = running.client()
    content = dicom_files.fresh("CT_small.dcm")
    data = upload(alice, content, examenID=first).json()["data"]
    image_id = registered(alice, data["ID"])["imageID"]
    assert f"under exam {second}" in said(
        examflow("images", "move", image_id, "--exam", second, "--reason", "wrong knee")
    )
    assert alice.get(f"/examens-medicaux/{first}/images").json()["items"] == []
    unlinked = said(examflow("images", "unlink", data["SOPInstanceUID"], "--reason", "nor that one"))
    assert f"examflow waiting assign {data['ID']}" in unlinked
    assert alice.get(f"/examens-medicaux/images/{image_id}").status_code == 404
    assert upload(alice, content, examenID=second).status_code == 200
    state = registered(alice, data["ID"], "waiting")
    assert (state["code"], state["imageID"]) == ("unlinked", None)
    again = examflow("images", "unlink", data["SOPInstanceUID"], "--reason", "twice")
    said(again, 1)
    assert "HTTP 409" in again.stderr
    missing = examflow("images", "move", data["SOPInstanceUID"], "--exam", first, "--reason", "r")
    said(missing, 1)


def test_an_unknown_image_is_said_to_be_unknown(examflow: Examflow) -> None:
    done = examflow("timeline", "1.2.3.4")
    said(done, 1)
    assert "it is not in Orthanc either" in done.stderr
    assert "HTTP 404" in done.stderr


def test_a_full_compare_finds_what_is_in_orthanc_and_can_be_waited_for(running: Running, examflow: Examflow) -> None:
    done = said(examflow("reconcile", "--full", "--wait", "--reason", "a test", "--seconds", "40"))
    assert "a full compare of Orthanc and the ledger begins" in done
    assert done.endswith("Done.\n")
    ledger = json.loads(examflow("status", "--json").stdout)["ledger"]
    assert ledger["reconciler"]["compareWanted"] is None


def test_paused_an_image_waits_in_the_queue_and_resumed_it_is_registered(running: Running, examflow: Examflow) -> None:
    exam = given.name()
    running.open_exam(exam, "user:alice")
    try:
        assert "paused by olivia" in said(examflow("consumers", "pause", STORED, "--reason", "a new release"))
        eventually(lambda: _first(examflow)["consumers"] == 0, what="nobody consuming")
        alice = running.client()
        data = upload(alice, dicom_files.fresh("CT_small.dcm"), examenID=exam).json()["data"]
        assert data["event"] == "confirmed"
        eventually(lambda: _first(examflow)["messages"] == 1, what="the message in its queue")
        assert alice.get(f"/dicom/instances/{data['ID']}/registration").status_code in (404, 200)
        status = examflow("status")
        assert f"{STORED} is paused by olivia: a new release" in said(status, 1)
        assert f"examflow consumers resume {STORED}" in status.stdout
        assert running.at("REGISTRATION_URL").get("/health/ready").status_code == 200
    finally:
        resumed = said(examflow("consumers", "resume", STORED))
    waiting = ("1 message waits", "0 messages wait")  # it may be in hand already
    assert any(f"{STORED}: not paused; {number}" in resumed for number in waiting), resumed
    registered(alice, data["ID"])
    unknown = examflow("consumers", "pause", "dicom-stored", "--reason", "r")
    said(unknown, 1)
    assert STORED in unknown.stderr


def _first(examflow: Examflow) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(examflow("consumers", "list", "--json").stdout)["items"][0]
    assert found["queue"] == STORED
    return found
