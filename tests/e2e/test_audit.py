"""Who saw an exam: every upload, view, download and denied try leaves its record, in a chain that holds."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests import dicom_files
from tests.e2e.operator import examflow
from tests.integration import given
from tests.running import Running, eventually, registered, upload

Records = list[dict[str, Any]]


@pytest.fixture
def exam(running: Running) -> str:
    name = given.name()
    running.open_exam(name, "user:alice")
    return name


@pytest.fixture
def image(running: Running, exam: str) -> dict[str, Any]:
    """Alice's, registered under her exam."""
    data: dict[str, Any] = upload(running.client(), dicom_files.fresh("CT_small.dcm"), examenID=exam).json()["data"]
    registered(running.client(), data["ID"])
    return data


def _accesses(running: Running, exam: str, **parameters: Any) -> Records:
    answer = running.client("dora", "audit:read").get(f"/examens-medicaux/{exam}/accesses", params=parameters)
    answer.raise_for_status()
    items: Records = answer.json()["items"]
    return items


def _until(running: Running, exam: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    def ask() -> dict[str, Any] | None:
        return next((one for one in _accesses(running, exam, limit=1000) if fits(one)), None)

    return eventually(ask, what="the record")


def _view(running: Running, image: dict[str, Any], sub: str = "alice", **headers: str) -> httpx.Response:
    return running.client(sub).get(f"/dicom/instances/{image['ID']}/preview", headers=headers)


def test_an_upload_and_its_registration(running: Running, exam: str, image: dict[str, Any]) -> None:
    stored = _until(running, exam, lambda one: one["action"] == "image.upload")
    assert (stored["actor"], stored["outcome"], stored["service"]) == ("alice", "stored", "upload")
    assert stored["subject"] == image["SOPInstanceUID"]
    assert stored["remoteIP"]
    made = _until(running, exam, lambda one: one["action"] == "image.register")
    assert (made["outcome"], made["correlationId"]) == ("created", stored["correlationId"])
    opened = _until(running, exam, lambda one: one["action"] == "exam.upsert")
    assert (opened["actor"], opened["outcome"]) == ("his", "created")
    assert opened["remoteIP"]


def test_a_view_an_unchanged_one_and_a_download(running: Running, exam: str, image: dict[str, Any]) -> None:
    shown = _view(running, image, **{"X-Correlation-ID": "look-1"})
    assert shown.status_code == 200
    assert _view(running, image, **{"If-None-Match": shown.headers["ETag"]}).status_code == 304
    assert running.client().get(f"/dicom/wado/{image['SOPInstanceUID']}").status_code == 200
    viewed = _until(running, exam, lambda one: (one["action"], one["outcome"]) == ("image.view", "done"))
    assert (viewed["actor"], viewed["correlationId"], viewed["service"]) == ("alice", "look-1", "preview")
    assert viewed["subject"] == image["SOPInstanceUID"]
    _until(running, exam, lambda one: (one["action"], one["outcome"]) == ("image.view", "unchanged"))
    _until(running, exam, lambda one: (one["action"], one["outcome"]) == ("image.download", "done"))


def test_who_may_not_see_is_told_nothing_and_is_on_record(running: Running, exam: str, image: dict[str, Any]) -> None:
    assert _view(running, image, "mallory").status_code == 404
    assert running.client("mallory").get(f"/examens-medicaux/{exam}/images").status_code == 404
    poor = running.client("mallory", "dicom:upload").get(f"/dicom/instances/{image['ID']}/preview")
    assert poor.status_code == 403
    tried = _until(running, exam, lambda one: one["actor"] == "mallory" and one["action"] == "image.view")
    assert (tried["outcome"], tried["reason"]) == ("denied", "instance-unknown")
    listed = _until(running, exam, lambda one: one["actor"] == "mallory" and one["action"] == "images.list")
    assert (listed["outcome"], listed["reason"]) == ("denied", "exam-unknown")


def test_what_was_seen_before_it_was_registered_is_told_too(running: Running, exam: str) -> None:
    data = upload(running.client(), dicom_files.fresh("CT_small.dcm")).json()["data"]
    registered(running.client(), data["ID"], "waiting")
    assert _view(running, data).status_code == 200
    body = {
        "examenID": exam,
        "studyInstanceUID": data["StudyInstanceUID"],
        "seriesInstanceUID": data["SeriesInstanceUID"],
        "sopInstanceUID": data["SOPInstanceUID"],
        "dateAcquisition": data["acquisitionDate"],
        "modalite": "CT",
        "description": "",
        "orthancInstanceId": data["ID"],
    }
    assert running.client().post("/examens-medicaux/images", json=body).status_code == 201
    _until(running, exam, lambda one: one["action"] == "image.view" and one["subject"] == data["SOPInstanceUID"])


def test_reading_the_accesses_is_an_access(running: Running, exam: str) -> None:
    _accesses(running, exam)
    read = _until(running, exam, lambda one: one["action"] == "accesses.read")
    assert (read["actor"], read["outcome"]) == ("dora", "done")
    assert running.client("alice").get(f"/examens-medicaux/{exam}/accesses").status_code == 403
    unknown = running.client("dora", "audit:read").get(f"/examens-medicaux/{given.name()}/accesses")
    assert unknown.status_code == 404


def test_pages_are_newest_first_and_complete(running: Running, exam: str, image: dict[str, Any]) -> None:
    for number in range(5):
        assert _view(running, image, **{"X-Correlation-ID": f"page-{number}"}).status_code == 200
    _until(running, exam, lambda one: one["correlationId"] == "page-4")
    client, cursor, found = running.client("dora", "audit:read"), None, []
    until = _accesses(running, exam, limit=1)[0]["time"]
    while True:
        asked = {"limit": 2, "until": until} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"/examens-medicaux/{exam}/accesses", params=asked).json()
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [one["time"] for one in found] == sorted((one["time"] for one in found), reverse=True)
    assert len({one["recordId"] for one in found}) == len(found)
    assert {f"page-{number}" for number in range(5)} <= {one["correlationId"] for one in found}


def test_export_as_a_table_and_as_fhir(running: Running, exam: str, image: dict[str, Any]) -> None:
    assert _view(running, image).status_code == 200
    _until(running, exam, lambda one: one["action"] == "image.view")
    table = examflow(running, "audit", "export", "--exam", exam, scope="audit:read")
    assert table.returncode == 0, table.stderr
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert {"image.upload", "image.register", "image.view", "exam.upsert"} <= {row["action"] for row in rows}
    told = examflow(running, "audit", "export", "--exam", exam, "--format", "fhir", scope="audit:read")
    entries = json.loads(told.stdout)["entry"]
    [viewed] = [one["resource"] for one in entries if one["resource"]["subtype"][0]["code"] == "image.view"]
    assert viewed["agent"][0]["who"]["identifier"]["value"] == "alice"
    assert {one["what"]["identifier"]["value"] for one in viewed["entity"]} >= {exam, image["SOPInstanceUID"]}


def test_the_chain_is_sound(running: Running, exam: str, image: dict[str, Any]) -> None:
    def ask() -> bool:
        told = json.loads(examflow(running, "audit", "verify", "--json", scope="audit:read").stdout)
        return bool(told["sound"] and told["last"] > 3)

    eventually(ask, what="a sound chain")
    said = examflow(running, "audit", "verify", scope="audit:read")
    assert said.returncode == 0, said.stderr
    assert "The audit trail is sound: records 1 to" in said.stdout
    refused = examflow(running, "audit", "verify", scope="ops")
    assert refused.returncode == 1
    assert "audit:read" in refused.stderr
