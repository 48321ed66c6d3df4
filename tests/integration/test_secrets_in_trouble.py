"""A service whose servers are away, or do not know it, complains of that much and never says its secrets."""

import os
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from deploy.local.layout import SERVICES
from deploy.local.ports import Ports
from deploy.local.programs import programs_of
from deploy.local.secrets import Secrets
from deploy.local.system import Backing, System
from tests.running import eventually

COMPLAINING_SECONDS = 3.0  # the pauses between attempts are shorter
NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize("trouble", ["away", "wrong"])
@pytest.mark.parametrize("name", SERVICES)
def test_complaints_hold_no_secret(system: System, tmp_path: Path, name: str, trouble: str) -> None:
    backing = Backing(**dict.fromkeys(Backing.model_fields, NOWHERE)) if trouble == "away" else system.backing
    secrets = Secrets()
    changes = {"ports": Ports.free(), "programs": (name,), "backing": backing, "secrets": secrets}
    other = system.model_copy(update=changes)
    [program] = programs_of(other)
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            program.command,
            env={name: value for name, value in os.environ.items() if not name.startswith("EXAMFLOW")}
            | program.environment,
            cwd=program.directory,
            stdout=log,
            stderr=log,
        )
    try:
        said = _what_it_says(other.service_url(name))
    finally:
        process.terminate()
        process.wait(30)
    text = said + (tmp_path / "log").read_text()
    assert "not ready" in said
    assert len((tmp_path / "log").read_text().splitlines()) > 2
    assert [secret for secret, value in secrets if value in text] == []


def _what_it_says(url: str) -> str:
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:

        def ready() -> httpx.Response | None:
            try:
                return client.get("/health/ready")
            except httpx.TransportError:
                return None

        first = eventually(ready, 30, "an answer")
        time.sleep(COMPLAINING_SECONDS)
        answers = [first, *(client.get(path) for path in ("/health/ready", "/metrics", "/openapi.json"))]
        return "".join(f"{answer.headers}{answer.text}" for answer in answers)
