"""The services as apps: making one opens nothing, and what they say of themselves is what they do."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import httpx
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from services.preview_service import app as preview
from services.preview_service.settings import Settings as PreviewSettings
from services.registration_service import app as registration
from services.registration_service import reconciler
from services.registration_service.settings import Settings as RegistrationSettings
from services.upload_service import app as upload
from services.upload_service.settings import Settings as UploadSettings
from tests.unit.keys import AUDIENCE, ISSUER, token, write_keys
from tests.unit.settings import DATABASE, NOWHERE, SHARED

REGISTRATION = {**SHARED, "database": DATABASE, "internal_token": "secret", "ready_seconds": 1.0}
PREVIEW = {**SHARED, "registration": {"url": f"http://{NOWHERE}", "token": "secret"}, "rights": SHARED["broker"]}
MAKERS: dict[str, Callable[[], FastAPI]] = {
    "upload": lambda: upload.create_app(UploadSettings(**SHARED)),
    "registration": lambda: registration.create_app(RegistrationSettings(**REGISTRATION)),
    "reconciler": lambda: reconciler.create_app(RegistrationSettings(**REGISTRATION)),
    "preview": lambda: preview.create_app(PreviewSettings(**PREVIEW)),
}


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture(params=sorted(MAKERS))
def make(request: pytest.FixtureRequest) -> Iterator[Callable[[], FastAPI]]:
    """One service's create_app; it sets up logging for its whole process, which is put back."""
    handlers, level = list(logging.root.handlers), logging.root.level
    yield MAKERS[request.param]
    logging.root.handlers, logging.root.level = handlers, level


def test_making_an_app_opens_nothing(make: Callable[[], FastAPI], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    make()
    before = open_files()
    make()
    assert open_files() == before


def test_the_openapi_document_has_no_422(make: Callable[[], FastAPI]) -> None:
    document = make().openapi()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert operations
    assert [operation["operationId"] for operation in operations if "422" in operation.get("responses", {})] == []
    assert not {"HTTPValidationError", "ValidationError"} & set(document.get("components", {}).get("schemas", {}))
    assert "/metrics" not in document["paths"]
    assert not [path for path in document["paths"] if path.startswith("/internal")]


async def test_alive_but_not_ready_where_nothing_answers(make: Callable[[], FastAPI]) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make()), base_url="http://test") as client:
        live, ready = await client.get("/health/live"), await client.get("/health/ready")
    assert (live.status_code, live.json()) == (200, {"status": "live"})
    assert ready.status_code == 503
    assert ready.json()["status"] == "not ready"
    assert "orthanc" in ready.json()["checks"]
    assert "ok" not in ready.json()["checks"].values()
    assert "secret" not in ready.text


@pytest.mark.parametrize("name", sorted(MAKERS))
async def test_who_takes_tokens_is_not_ready_without_keys(name: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(MAKERS[name]()), base_url="http://test") as client:
        checks = (await client.get("/health/ready")).json()["checks"]
    if name == "reconciler":
        assert "keys" not in checks
    else:
        assert checks["keys"].startswith("KeysAway: The keys that verify tokens cannot be had")


async def test_keys_are_read_at_the_start_and_every_so_often(tmp_path: Path) -> None:
    write_keys(tmp_path / "jwks.json", "rsa")
    tokens = {"jwks": str(tmp_path / "jwks.json"), "issuer": ISSUER, "audience": AUDIENCE, "reread_seconds": 0.05}
    app = preview.create_app(PreviewSettings(**{**PREVIEW, "tokens": tokens}))
    keys = app.state.tokens.keys
    async with app.router.lifespan_context(app):
        [first] = keys._keys
        write_keys(tmp_path / "jwks.json", "ec")
        async with asyncio.timeout(20):
            while "ec" not in keys._keys:
                await asyncio.sleep(0.01)
    assert (first, list(keys._keys)) == ("rsa", ["ec"])


async def test_no_token_no_entry(make: Callable[[], FastAPI]) -> None:
    app = make()
    public = [(path, method) for path, methods in app.openapi()["paths"].items() for method in methods]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        for path, method in public:
            if path.startswith(("/health/", "/dicom/signed/")):  # a signed URL is its own key: tests/e2e/test_signed.py
                continue
            answer = await client.request(method.upper(), path.replace("{", "").replace("}", ""))
            assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated"), (path, method)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["x-correlation-id"] == answer.json()["correlationId"]


async def test_a_good_token_lets_in_whom_its_scopes_let_in(tmp_path: Path) -> None:
    write_keys(tmp_path / "jwks.json", "rsa")
    tokens = {"jwks": str(tmp_path / "jwks.json"), "issuer": ISSUER, "audience": AUDIENCE}
    audit = {"spool": tmp_path, "confirm_seconds": 0.1}  # what is refused leaves its record
    app = upload.create_app(UploadSettings(**{**SHARED, "tokens": tokens, "audit": audit}))
    transport = httpx.ASGITransport(app)
    running = app.router.lifespan_context(app)
    async with running, httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        good = await client.get("/dicom/upload/limits", headers={"Authorization": f"Bearer {token()}"})
        poor = await client.get("/dicom/upload/limits", headers={"Authorization": f"Bearer {token(scope='ops')}"})
        other = await client.get("/dicom/upload/limits", headers={"Authorization": f"Basic {token()}"})
        wrong = await client.get("/dicom/upload/limits", headers={"Authorization": f"Bearer {token(aud='x')}"})
    assert (good.status_code, good.json()["maxFileSize"]) == (200, 2147483648)
    assert (poor.status_code, poor.json()["type"]) == (403, "/problems/scope-missing")
    assert (other.status_code, other.json()["type"]) == (401, "/problems/unauthenticated")
    assert (other.headers["www-authenticate"], wrong.headers["www-authenticate"]) == (
        "Bearer",
        'Bearer error="invalid_token"',
    )


async def test_no_other_origin_is_allowed_by_default(make: Callable[[], FastAPI]) -> None:
    asked = {"Origin": "https://front.test", "Access-Control-Request-Method": "POST"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make()), base_url="http://test") as client:
        answer = await client.options("/dicom/upload", headers=asked)
        plain = await client.get("/health/live", headers=asked)
    assert answer.status_code in (404, 405)
    assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in plain.headers


async def test_an_allowed_origin_sees_what_it_needs() -> None:
    app = upload.create_app(UploadSettings(**SHARED, cors_origins=["https://front.test"]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        good = await client.get("/dicom/upload/limits", headers={"Origin": "https://front.test"})
        bad = await client.get("/dicom/upload/limits", headers={"Origin": "https://evil.test"})
    assert good.headers["access-control-allow-origin"] == "https://front.test"
    assert "X-Correlation-ID" in good.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in bad.headers


@pytest.mark.parametrize(
    "wrong",
    [{"upload_limit": 0}, {"upload_limit": "many"}, {"facility_zone": "Mars/Olympus"}, {"facility_zone": "../x"}],
)
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, ZoneInfoNotFoundError), match=next(iter(wrong)) + "|Mars/Olympus"):
        UploadSettings(**{**SHARED, **wrong})


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ORTHANC__URL": "http://orthanc:8042",
        "ORTHANC__USER": "upload",
        "ORTHANC__PASSWORD": "p",
        "BROKER__URL": "amqp://upload:p@rabbitmq/",
        "TOKENS__JWKS": "/keys",
        "TOKENS__ISSUER": "i",
        "TOKENS__AUDIENCE": "a",
        "UPLOAD_LIMIT": "5000",
        "CORS_ORIGINS": '["https://front.test"]',
        "UNKNOWN": "x",
    }.items():
        monkeypatch.setenv(f"EXAMFLOW_{name}", value)
    settings = UploadSettings()
    assert settings.orthanc.url == "http://orthanc:8042"
    assert settings.upload_limit == 5000
    assert settings.cors_origins == ["https://front.test"]
    assert "p@rabbitmq" not in repr(settings)


@pytest.mark.parametrize(
    ("shown", "status"),
    [("Bearer new-one", 503), ("Bearer old-one", 503), ("Bearer new-one,old-one", 401), ("Bearer ", 401), ("", 401)],
)
async def test_while_the_internal_token_is_changed_both_are_believed(shown: str, status: int) -> None:
    settings = RegistrationSettings(**{**REGISTRATION, "internal_token": "new-one, old-one"})
    transport = httpx.ASGITransport(registration.create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/internal/instances/x", headers={"Authorization": shown})
    assert answer.status_code == status, answer.text  # 503: let in, and there is no database
