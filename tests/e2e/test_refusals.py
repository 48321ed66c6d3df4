"""Bad input through the gateway: each its 4xx, as a problem document whose message a person can act on."""

import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests import dicom_files
from tests.running import Running, registered, upload

CT = "CT_small.dcm"
EXAM = "EX-REFUSALS"
BODY = {
    "examenID": EXAM,
    "studyInstanceUID": "1.2.3",
    "seriesInstanceUID": "1.2.3.4",
    "sopInstanceUID": "1.2.3.4.5",
    "dateAcquisition": "2024-01-01T00:00:00Z",
    "modalite": "CT",
    "description": "",
}


@pytest.fixture(scope="module", autouse=True)
def exam(running: Running) -> None:
    running.open_exam(EXAM, "user:alice")


def refused(answer: httpx.Response, status: int, code: str, *named: str) -> None:
    """The answer is this problem, complete, and its message names what was wrong."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"/problems/{code}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"] == problem["message"]
    assert problem["correlationId"] == answer.headers["x-correlation-id"]
    for text in named:
        assert text in problem["message"]


@pytest.mark.parametrize(
    ("content", "code", "named"),
    [
        (b"", "file-empty", "no bytes"),
        (b"GIF89a" + bytes(500), "not-dicom", "DICM"),
        (dicom_files.content(CT)[:1000], "dicom-broken", "too early"),
        (dicom_files.content(CT)[:-5000], "dicom-broken", "too early"),
        (dicom_files.content("JPEGLSNearLossless_08.dcm"), "tags-missing", "StudyInstanceUID, SeriesInstanceUID"),
    ],
)
def test_files(running: Running, content: bytes, code: str, named: str) -> None:
    refused(upload(running.client(), content), 400, code, named)


def test_a_missing_tag_is_named_as_a_field(running: Running) -> None:
    problem = upload(running.client(), dicom_files.content("JPEGLSNearLossless_08.dcm")).json()
    assert [error["field"] for error in problem["errors"]] == ["StudyInstanceUID", "SeriesInstanceUID"]


def test_forms(running: Running) -> None:
    post, file = running.client().post, ("a.dcm", dicom_files.content(CT), "application/dicom")
    refused(post("/dicom/upload", files={"image": file}), 400, "field-unexpected", "'image'", "'file'")
    refused(post("/dicom/upload", files=[("file", file), ("file", file)]), 400, "field-unexpected", "second")
    refused(post("/dicom/upload", files={"description": (None, "x")}), 400, "file-missing", "'file'")
    form = {"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data"}}
    refused(post("/dicom/upload", **form), 400, "form-broken", "boundary")  # type: ignore[arg-type]
    form["headers"] = {"Content-Type": "multipart/form-data; boundary=x"}
    refused(post("/dicom/upload", **form), 400, "form-broken", "too early")  # type: ignore[arg-type]
    refused(post("/dicom/upload", json={}), 415, "not-multipart", "multipart/form-data")
    refused(post("/dicom/upload", content=file[1]), 415, "not-multipart", "multipart/form-data")
    long = post("/dicom/upload", files={"file": file}, data={"examenID": "x" * 37})
    refused(long, 400, "form-broken", "'examenID'", "36")


def test_a_file_over_the_limit_is_refused_before_it_is_sent(running: Running) -> None:
    """Only the head of the request is sent: the refusal does not wait for the body."""
    address = urlsplit(running.env["EXAMFLOW_URL"])
    head = (
        f"POST /api/dicom/upload HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 3000000000\r\n"
        f"Authorization: Bearer {running.token('alice')}\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = b""
        while b"correlationId" not in answer:
            piece = connection.recv(4096)
            assert piece, answer
            answer += piece
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer
    assert b"larger than 2148532224 bytes" in answer  # 2 GiB and what multipart adds


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"studyInstanceUID": "1.2.x"}, "studyInstanceUID"),
        ({"seriesInstanceUID": "1" * 65}, "seriesInstanceUID"),
        ({"sopInstanceUID": ""}, "sopInstanceUID"),
        ({"dateAcquisition": "yesterday"}, "dateAcquisition"),
        ({"dateAcquisition": "2024-01-01T00:00:00"}, "dateAcquisition"),
        ({"modalite": "M" * 51}, "modalite"),
        ({"description": None}, "description"),
        ({"examenID": "E" * 37}, "examenID"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"orthancInstanceId": "00000000-00000000-00000000-00000000-00000000"}, "orthancInstanceId"),
    ],
)
def test_registration_fields(running: Running, change: dict[str, Any], field: str) -> None:
    answer = running.client().post("/examens-medicaux/images", json=BODY | change)
    refused(answer, 400, "invalid-input", field)
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_registration_bodies(running: Running) -> None:
    post = running.client().post
    as_json = {"Content-Type": "application/json"}
    address = "/examens-medicaux/images"
    refused(post(address, content=b'{"examenID": ', headers=as_json), 400, "invalid-input", "JSON")
    refused(post(address, content=b"[]", headers=as_json), 400, "invalid-input", "object")
    refused(post(address, content=b"\xff\xfe", headers=as_json), 400, "invalid-input", "JSON")
    missing = post(address, json={})
    refused(missing, 400, "invalid-input", "examenID", "sopInstanceUID")
    assert {error["field"] for error in missing.json()["errors"]} == BODY.keys()
    refused(post(address, json=BODY | {"examenID": "NONE"}), 404, "exam-unknown", "examenID")


def test_registration_against_the_stored_image(running: Running) -> None:
    alice = running.client()
    data = upload(alice, dicom_files.fresh(CT), examenID=EXAM).json()["data"]
    registered(alice, data["ID"])
    body = BODY | {"orthancInstanceId": data["ID"], "sopInstanceUID": data["SOPInstanceUID"]}
    wrong = alice.post("/examens-medicaux/images", json=body)
    refused(wrong, 400, "invalid-input", "studyInstanceUID", "seriesInstanceUID")
    running.open_exam("EX-OTHER", "user:alice")
    body |= {"studyInstanceUID": data["StudyInstanceUID"], "seriesInstanceUID": data["SeriesInstanceUID"]}
    other = alice.post("/examens-medicaux/images", json=body | {"examenID": "EX-OTHER"})
    refused(other, 409, "registered-elsewhere", "another exam")
    alone = {name: value for name, value in body.items() if name != "orthancInstanceId"}
    same_sop = alice.post("/examens-medicaux/images", json=alone | {"seriesInstanceUID": "1.2.3"})
    refused(same_sop, 409, "sop-uid-in-use", "seriesInstanceUID")


@pytest.mark.parametrize("query", ["quality=0", "quality=101", "quality=x", "frame=0", "width=2049", "height=0"])
def test_preview_parameters(running: Running, query: str) -> None:
    refused(
        running.client().get(f"/dicom/instances/0-0/preview?{query}"), 400, "invalid-input", query.partition("=")[0]
    )


def test_previews_that_cannot_be_given(running: Running) -> None:
    alice = running.client()
    data = upload(alice, dicom_files.fresh(CT), examenID=EXAM).json()["data"]
    registered(alice, data["ID"])
    address = f"/dicom/instances/{data['ID']}/preview"
    refused(alice.get("/dicom/instances/0-0-0-0-0/preview"), 404, "instance-unknown", "identifier")
    refused(alice.get("/dicom/wado/1.2.3"), 404, "instance-unknown", "identifier")
    refused(alice.get(address, headers={"Accept": "image/webp"}), 406, "not-acceptable", "image/jpeg", "image/png")
    refused(alice.get(f"{address}?frame=2"), 404, "frame-unknown", "frame 2")


@pytest.mark.parametrize("cursor", ["x", "bnVsbA==", "WyJhIiwgMV0=", "é"])
def test_cursors(running: Running, cursor: str) -> None:
    answer = running.client().get(f"/examens-medicaux/{EXAM}/images", params={"cursor": cursor})
    refused(answer, 400, "invalid-input", "cursor")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/dicom/upload", "dicom:upload"),
        ("GET", "/dicom/upload/limits", "dicom:upload"),
        ("POST", "/examens-medicaux/images", "images:write"),
        ("GET", "/examens-medicaux/images/0", "images:read"),
        ("PUT", "/examens-medicaux/images/0", "exams:all"),
        ("GET", "/examens-medicaux/E/images", "images:read"),
        ("PUT", "/examens-medicaux/E", "exams:write"),
        ("GET", "/examens-medicaux/E", "exams:write"),
        ("GET", "/dicom/instances/0-0/registration", "images:read"),
        ("GET", "/dicom/instances/0-0/preview", "images:read"),
        ("GET", "/dicom/wado/1.2", "images:read"),
    ],
)
def test_tokens_and_scopes(running: Running, method: str, path: str, scope: str) -> None:
    nobody = running.at("EXAMFLOW_URL", "/api").request(method, path)
    refused(nobody, 401, "unauthenticated", "token")
    assert nobody.headers["www-authenticate"] == "Bearer"
    bad = running.at("EXAMFLOW_URL", "/api", Authorization="Bearer no.such.token").request(method, path)
    refused(bad, 401, "unauthenticated", "not valid")
    late = running.at("EXAMFLOW_URL", "/api", Authorization=f"Bearer {running.token('alice', scope, lifetime=-300)}")
    refused(late.request(method, path), 401, "unauthenticated", "expired")
    refused(running.client(scope="audit:read").request(method, path), 403, "scope-missing", scope)


def test_naming_an_exam_needs_the_scope_to_write_images(running: Running) -> None:
    """And the refusal comes before anything is stored."""
    sender, content = running.client(scope="dicom:upload"), dicom_files.fresh(CT)
    refused(upload(sender, content, examenID=EXAM), 403, "scope-missing", "images:write")
    assert upload(sender, content).json()["data"]["Status"] == "Success"


def test_addresses_and_methods(running: Running) -> None:
    alice = running.client()
    assert alice.get("/nowhere").json()["type"] == "/problems/route-unknown"
    for hidden in ("/internal/instances/0", "/metrics", "/api/internal/instances/0"):
        answer = running.at("EXAMFLOW_URL").get(hidden)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    refused(alice.delete("/examens-medicaux/images"), 405, "method-not-allowed")
