"""What the gateway says by itself, and what it says of every answer."""

import contextlib
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.local.system import System
from tests.dicom_files import fresh
from tests.hostile.besieged import Besieged
from tests.hostile.raw import ask
from tests.integration.faulty import Faulty
from tests.running import Running, eventually, upload
from tests.unit.dicom_bytes import dicom
from tests.unit.multipart import CONTENT_TYPE, file_part, form

SECURITY = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-site",
}
ERRORS = {
    "no HTTP": (b"hello\r\n\r\n", 400, "bad-request"),
    "a header without a name": (b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", 400, "bad-request"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400, "bad-request"),
    "two lengths": (
        b"POST /dicom/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        400,
        "bad-request",
    ),
    "length and chunks": (
        b"POST /dicom/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "bad-request",
    ),
    "nowhere": (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404, "route-unknown"),
    "another method": (b"DELETE /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method-not-allowed"),
    "too large": (
        b"POST /dicom/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        413,
        "file-too-large",
    ),
    "too large for JSON": (
        b"POST /examens-medicaux/images HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n",
        413,
        "too-large",
    ),
    "a long address": (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri-too-long"),
    "long headers": (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431, "headers-too-large"),
}


def is_guarded(headers: httpx.Headers | dict[str, str]) -> None:
    found = httpx.Headers(headers)
    assert {name: found.get_list(name) for name in SECURITY} == {name: [value] for name, value in SECURITY.items()}
    assert found["server"] == "nginx"  # and no version
    assert "x-powered-by" not in found
    assert len(found.get_list("x-correlation-id")) <= 1


@pytest.mark.parametrize("name", ERRORS)
def test_its_own_errors_are_problem_documents_with_every_header(besieged: Besieged, name: str) -> None:
    request, status, code = ERRORS[name]
    found, headers, problem = ask(besieged.system.url, request)
    assert (found, problem["status"], problem["type"]) == (status, status, f"/problems/{code}")
    assert headers["content-type"] == "application/problem+json"
    assert problem["message"] == problem["detail"]
    assert problem["correlationId"] == headers["x-correlation-id"]
    assert headers["cache-control"] == "no-store"
    assert "nginx" not in str(problem)
    is_guarded(headers)


def test_a_service_that_is_away_is_a_503_of_the_gateways_own(alone: System) -> None:
    answer = httpx.get(f"{alone.url}/api/dicom/upload/limits", headers={"Accept-Language": "fr"}, trust_env=False)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get_list("retry-after") == ["5"]
    assert answer.json()["message"].startswith("Le service n'est pas disponible")
    is_guarded(answer.headers)


def test_every_answer_has_the_headers(running: Running) -> None:
    alice = running.client()
    exam = running.open_exam("EX-HEADERS", "user:alice")
    stored = upload(alice, fresh("CT_small.dcm"), examenID="EX-HEADERS")
    instance = f"/dicom/instances/{stored.json()['data']['ID']}"
    eventually(lambda: alice.get(f"{instance}/preview").status_code == 200, what="a preview")
    preview = alice.get(f"{instance}/preview")
    same = alice.get(f"{instance}/preview", headers={"If-None-Match": preview.headers["etag"]})
    refusals = [alice.get("/dicom/wado/1.2.3"), upload(alice, b"x"), alice.get("/examens-medicaux/NONE/images")]
    documents = [exam, stored, alice.get("/dicom/upload/limits"), alice.get("/health/live"), *refusals]
    for answer in (*documents, preview, same):
        is_guarded(answer.headers)
    assert [answer.headers.get_list("cache-control") for answer in documents] == [["no-store"]] * len(documents)
    age = int(preview.headers["age"])  # of a picture that was made ahead
    assert (same.status_code, preview.headers.get_list("cache-control")) == (304, [f"private, max-age={300 + age}"])
    assert "strict-transport-security" not in stored.headers


def test_where_tls_ends_it_says_so(narrow: System) -> None:
    answer = httpx.get(f"{narrow.url}/health/live", trust_env=False)
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_requests_beyond_a_clients_rate(narrow: System) -> None:
    """Each client has a rate of its own; here the proxy says who it is."""
    with httpx.Client(base_url=narrow.url, trust_env=False) as client:
        many = [client.get("/dicom/upload/limits", headers={"X-Forwarded-For": "198.51.100.1"}) for _ in range(40)]
        other = client.get("/dicom/upload/limits", headers={"X-Forwarded-For": "198.51.100.2"})
    refused = [answer for answer in many if answer.status_code == 429]
    assert {answer.status_code for answer in many} == {401, 429}
    assert 401 in [answer.status_code for answer in many[:11]]
    assert len(refused) > 10
    assert refused[0].json()["type"] == "/problems/too-many-requests"
    assert refused[0].headers["retry-after"] == "5"
    is_guarded(refused[0].headers)
    assert other.status_code == 401


def test_uploads_beyond_what_a_client_may_have_at_once(besieged: Besieged, narrow: System) -> None:
    token = besieged.running.token("alice")
    head = (
        f"POST /dicom/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nX-Forwarded-For: 198.51.100.3\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: 1000000\r\n\r\n"
    ).encode()
    where = urlsplit(narrow.url)
    begun = [socket.create_connection((where.hostname or "", where.port or 0), timeout=30) for _ in range(3)]
    for connection in begun:
        connection.sendall(head)
    eventually(lambda: besieged.gauge("examflow_uploads_in_flight") == 3, what="three uploads")
    status, headers, problem = ask(narrow.url, head)
    assert (status, problem["type"], headers["retry-after"]) == (429, "/problems/too-many-requests", "5")
    for connection in begun:
        connection.close()
    eventually(lambda: besieged.gauge("examflow_uploads_in_flight") == 0, what="places that come back")


def test_a_body_on_its_way_is_in_no_file(besieged: Besieged) -> None:
    body = form(file_part(dicom(pixels=b"p" * 8 * 1024 * 1024)))
    head = (
        f"POST /dicom/upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {besieged.running.token('alice')}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    where = urlsplit(besieged.system.url)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=30) as connection:
        connection.sendall(head + body[:-1000])
        eventually(lambda: besieged.gauge("examflow_upload_storing_bytes") > 0, what="a body on its way")
        time.sleep(0.3)
        assert _temporary_files(besieged.system) == []
        connection.sendall(body[-1000:])
        assert connection.recv(65536).split()[1] == b"201"
    assert [path for path in (besieged.system.layout.run / "nginx").rglob("*") if path.is_file()] == []


def _temporary_files(system: System) -> list[str]:
    """What nginx has open below its directory; it deletes such a file as soon as it is open."""
    master = Faulty(system).pid("gateway")
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    assert children
    open_now: list[str] = []
    for link in (link for pid in children for link in Path(f"/proc/{pid}/fd").iterdir()):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            open_now.append(str(link.readlink()))
    return [name for name in open_now if "/run/nginx/" in name]
