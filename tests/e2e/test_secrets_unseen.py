"""No password, token or private key of the running system stands where somebody looks who need not know it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local.layout import REPO, Layout
from deploy.local.secrets import load_secrets
from deploy.local.system import load
from tests import dicom_files
from tests.running import Running, registered, upload

SERVICES = ("UPLOAD_URL", "REGISTRATION_URL", "PREVIEW_URL")
MARK = "searched-for-as-the-secrets-are"


@pytest.fixture
def secrets(running: Running) -> dict[str, str]:
    """Each by its name; what is not secret, but was just said, among them."""
    layout = Layout(running.root)
    key = "".join(layout.signing_key.read_text().splitlines()[1:-1])
    return {
        **dict(load_secrets(layout)),
        "signing key": key[:60],
        "bearer token": running.token("searcher"),
        MARK: MARK,
    }


def test_no_secret_is_seen(running: Running, secrets: dict[str, str]) -> None:
    _live(running, secrets["bearer token"])
    seen = {(where, name) for where, text in _all(running) for name, secret in secrets.items() if secret in text}
    found = {where for where, name in seen if name == MARK}
    assert found or not (running.root / "logs").is_dir()  # the search does find what is there
    assert {(where, name) for where, name in seen if name != MARK} == set()


def _live(running: Running, token: str) -> None:
    """One image through everything, and a refusal of each kind."""
    headers = {"X-Correlation-ID": MARK}
    alice = running.at("EXAMFLOW_URL", "/api", **headers, Authorization=f"Bearer {running.token('alice')}")
    data = upload(alice, dicom_files.fresh("CT_small.dcm")).json()["data"]
    registered(alice, data["ID"], "waiting")
    for name in SERVICES:
        at = running.at(name)
        for path in ("/dicom/upload", f"/dicom/instances/{data['ID']}/preview", "/internal/instances/x", "/ops/status"):
            for authorization in (f"Bearer {token}", f"Bearer {token}x", "Bearer wrong", "Basic wrong", ""):
                at.get(path, headers=headers | {"Authorization": authorization})


def _all(running: Running) -> Iterator[tuple[str, str]]:
    """Everything that is shown or kept for others to read, by where it was."""
    logs = running.root / "logs"
    for kept in (*(logs.iterdir() if logs.is_dir() else ()), *(REPO / "docs").rglob("*.json")):
        yield kept.name, kept.read_text(errors="replace")
    system = load(running.root)
    assert system is not None
    for name in ("upload", "registration", "preview", "reconciler"):
        for path in ("/metrics", "/openapi.json", "/docs", "/health/ready", "/nowhere", "/internal/instances/x"):
            answer = httpx.get(system.service_url(name) + path, timeout=60, trust_env=False)
            yield f"{name} {path}", f"{answer.headers} {answer.text}"
    for path in ("/dicom/upload", "/nowhere", "/internal/instances/x", "/health/live"):
        answer = running.at("EXAMFLOW_URL").post(path)
        yield f"gateway {path}", f"{answer.headers} {answer.text}"
    for process in Path("/proc").glob("[0-9]*"):
        for what in ("cmdline", "comm"):
            with contextlib.suppress(OSError):  # it has just ended
                yield f"process {what}", (process / what).read_text(errors="replace")
