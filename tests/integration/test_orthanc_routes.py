"""Each account at Orthanc is held to its routes: what it needs is let through, all else is refused, however spelt."""

import base64
import socket
from collections.abc import Callable
from typing import NamedTuple

import httpx
import pytest

from deploy.local.system import System
from shared.orthanc import PARKED
from tests.dicom_files import fresh

SERVICES = ("upload", "registration", "preview")
ANY = "11111111-22222222-33333333-44444444-55555555"
META = f"/instances/{ANY}/metadata/{PARKED}"
WEB = "/dicom-web/studies/1.2/series/1.3/instances/1.4"
ALLOWED = {
    "upload": {
        "POST /instances",
        f"GET /instances/{ANY}/attachments/dicom/md5",
        f"GET /instances/{ANY}/file",
        f"GET {META}",
        f"PUT {META}",
        "GET /changes",
    },
    "registration": {
        *("GET /changes", "GET /statistics", "GET /instances"),
        *(f"GET /instances/{ANY}{part}" for part in ("", "/series", "/study", "/simplified-tags")),
        f"GET /instances/{ANY}/attachments/dicom/md5",
        *(f"GET {META}", f"DELETE {META}"),
        *("POST /tools/bulk-content", "POST /tools/lookup"),
    },
    "preview": {
        "GET /changes",
        f"GET /instances/{ANY}/attachments/dicom/md5",
        *(f"GET /instances/{ANY}/{part}" for part in ("file", "frames", "metadata/TransferSyntax")),
        *(f"GET /instances/{ANY}/frames/3/{part}" for part in ("preview", "rendered", "raw")),
        *(f"GET /dicom-web/{level}" for level in ("studies", "series", "instances")),
        *(f"GET {WEB}{part}" for part in ("", "/metadata", "/frames/1", "/bulk/7fe00010", "/bulk/00880200/1/7fe00010")),
    },
}
# What would harm most, for everyone; and every route that one account has is refused to the others.
NOBODYS = {
    *("GET /system", "GET /patients", "GET /studies", "GET /series", "GET /modalities", "GET /plugins", "GET /jobs"),
    *("DELETE /changes", "GET /exports", "GET /peers", "GET /queries", "GET /", "GET /app/explorer.html"),
    *("POST /tools/execute-script", "POST /tools/reset", "POST /tools/shutdown", "POST /tools/find"),
    *("PUT /tools/log-level", "POST /tools/create-dicom", "POST /tools/create-archive", "GET /tools/metrics"),
    *(f"{method} /instances/{ANY}" for method in ("DELETE", "PUT", "POST")),
    *(f"POST /instances/{ANY}/{what}" for what in ("modify", "anonymize", "export")),
    *(f"{method} /instances/{ANY}/metadata/1025" for method in ("GET", "PUT", "DELETE")),
    *(f"{method} /instances/{ANY}/attachments/dicom" for method in ("PUT", "DELETE")),
    *(f"DELETE /{level}/{ANY}" for level in ("patients", "studies", "series")),
    *("PUT /modalities/evil", "POST /modalities/evil/store", "PUT /peers/evil", "POST /peers/evil/store"),
    *(f"GET /instances/{ANY}/{part}" for part in ("preview", "rendered", "tags", "metadata", "metadata/RemoteIP")),
    *("GET /dicom-web/studies/1.2", "GET /dicom-web/studies/1.2/metadata", "GET /dicom-web/studies/1.2/series/1.3"),
    *(f"GET {WEB}{part}" for part in ("/rendered", "/frames/1,2", "/frames/1/rendered")),
    *("GET /dicom-web/servers", "POST /dicom-web/studies", "DELETE /dicom-web/studies/1.2"),
}


class Answer(NamedTuple):
    status: int
    body: str


Ask = Callable[..., Answer]


@pytest.fixture
def ask(system: System) -> Ask:
    """Ask Orthanc with one account, as the bytes stand here: no client tidies the path."""
    passwords, (host, _, port) = system.secrets.of("orthanc"), system.backing.orthanc.rpartition(":")

    def one(user: str, asked: str, headers: str = "", body: bytes = b"") -> Answer:
        account = base64.b64encode(f"{user}:{passwords[user]}".encode()).decode()
        head = f"{asked} HTTP/1.1\r\nHost: orthanc\r\nAuthorization: Basic {account}\r\nContent-Length: {len(body)}\r\n"
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(f"{head}{headers}Connection: close\r\n\r\n".encode() + body)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        first, _, rest = answer.partition(b"\r\n")
        return Answer(int(first.split()[1]), rest.partition(b"\r\n\r\n")[2].decode(errors="replace"))

    return one


@pytest.mark.parametrize(("user", "asked"), [(user, asked) for user in SERVICES for asked in sorted(ALLOWED[user])])
def test_what_a_service_needs_is_let_through(ask: Ask, user: str, asked: str) -> None:
    answer = ask(user, asked, 'If-Match: "0-none"\r\n' if asked.startswith("PUT") else "")
    assert answer.status in (200, 400, 404), answer  # 400, 404: there is no such image, and nothing was sent


@pytest.mark.parametrize("user", SERVICES)
def test_all_else_is_refused(ask: Ask, user: str) -> None:
    forbidden = (NOBODYS | set().union(*ALLOWED.values())) - ALLOWED[user]
    got = {asked: ask(user, asked, 'If-Match: "0-none"\r\n').status for asked in sorted(forbidden)}
    assert got == dict.fromkeys(got, 403)


def test_what_is_refused_to_the_others_is_there_for_the_administrator(ask: Ask) -> None:
    harmless = {asked for asked in NOBODYS if asked.startswith("GET") and asked != "GET /tools/metrics"}
    there = {asked for asked in harmless if ANY not in asked and "1.2" not in asked}
    assert {asked: ask("admin", asked).status for asked in there} == {
        asked: 301 if asked == "GET /" else 200 for asked in there
    }


@pytest.mark.parametrize(
    "path",
    [
        *("//system", "/system/", "/%73ystem", "/changes/../system", "/changes/%2e%2e/system", "/changes/..%2fsystem"),
        *("/changes/./../system", "/changes;/../system", "/changes%3f/../system", "/changes\\..\\system", "/SYSTEM"),
        *(
            "/changes/system",
            "/changes%0a/../system",
            "/%00/system",
            "/instances/../system",
            "/changes//../system?x=/changes",
        ),
        *(
            "/dicom-web/studies/../servers",
            "/dicom-web/studies/1.2/../../servers",
            "/dicom-web/studies/1.2/%2e%2e/%2e%2e/servers",
        ),
        *(f"/instances/{ANY}/file/../../../system", f"/instances/{ANY}/../../system#/instances/{ANY}/file"),
    ],
)
def test_no_spelling_of_a_path_leads_elsewhere(ask: Ask, path: str) -> None:
    answer = ask("preview", f"GET {path}")
    assert answer.status in (400, 403, 404), answer
    assert "DatabaseVersion" not in answer.body


@pytest.mark.parametrize("path", ["/changes%00/../system", "/changes?/../system", "//changes", "/%63hanges?x=/system"])
def test_another_spelling_of_an_allowed_path_is_that_path(ask: Ask, path: str) -> None:
    answer = ask("preview", f"GET {path}")
    assert answer.status == 403 or '"Changes"' in answer.body, answer


def test_no_disguise_of_the_method_helps(system: System, ask: Ask) -> None:
    stored = _store(system)
    path = f"/instances/{stored}"
    for asked, header in (
        (f"GET {path}/file?_method=DELETE", ""),
        (f"GET {path}?_method=DELETE", ""),
        (f"GET {path}", "X-HTTP-Method-Override: DELETE\r\n"),
        (f"GET {path}/file", "X-HTTP-Method-Override: DELETE\r\n"),
        (f"POST {path}", "X-HTTP-Method-Override: DELETE\r\n"),
        (f"POST {path}?_method=DELETE", ""),
        (f"DELETE {path}", "X-HTTP-Method-Override: GET\r\n"),
        (f"DELETE {path}?_method=GET", ""),
    ):
        for user in SERVICES:
            ask(user, asked, header)
    assert ask("preview", f"GET {path}/attachments/dicom/md5").status == 200


def test_an_upload_replaces_no_context_that_stands(system: System, ask: Ask) -> None:
    path = f"/instances/{_store(system)}/metadata/{PARKED}"
    assert ask("upload", f"PUT {path}", body=b"x").status == 403
    assert ask("upload", f"PUT {path}", 'If-Match: "0-none"\r\n', b"first").status == 200
    for headers in ("", 'If-Match: "0-none"\r\n', 'If-Match: "0-none"\r\nIf-Match: "{0}"\r\n', 'If-Match: "{0}"\r\n'):
        tag = "0-" + "8b04d5e3775d298e78455efc5ca404d5"  # MD5 of "first", as Orthanc makes its tags
        assert ask("upload", f"PUT {path}", headers.format(tag), b"second").status in (403, 409)
    assert ask("upload", f"GET {path}").body == "first"


def test_a_stranger_is_refused_before_the_routes(system: System) -> None:
    url = f"http://{system.backing.orthanc}/changes"
    for account in (("nobody", "x"), ("upload", ""), ("upload", "secret"), ("admin", "admin"), ("orthanc", "orthanc")):
        assert httpx.get(url, auth=account, trust_env=False).status_code == 401
    assert httpx.get(url, trust_env=False).status_code == 401


def _store(system: System) -> str:
    account = ("admin", system.secrets.orthanc_admin)
    url = f"http://{system.backing.orthanc}/instances"
    answer = httpx.post(url, content=fresh("CT_small.dcm"), auth=account, trust_env=False)
    return str(answer.json()["ID"])
