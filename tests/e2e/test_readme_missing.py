"""The README's scenario "An image is missing", run from its own code block on a system of our own."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dicom_files import fresh
from tests.integration import faulty, scratch
from tests.integration.faulty import Faulty
from tests.running import eventually, registered, upload

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def own(request: pytest.FixtureRequest) -> Iterator[Faulty]:
    """Its attempts are used up within seconds, and nobody else's database loses its grants.

    Not sooner: the reconciler must have made the image's row, or there is none to say `dead`.
    """
    if request.config.getoption("--backends") != "local" or os.environ.get("EXAMFLOW_TARGET"):
        pytest.skip("takes a grant from the database of a system of its own")
    settings = {"EXAMFLOW_MESSAGES__RETRY_SECONDS": "[1, 2, 2]"}
    yield from faulty.make(**settings)


def _block() -> str:
    section = (REPO / "README.md").read_text().partition("## An image is missing")[2]
    found = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


def _state(own: Faulty, orthanc_id: str) -> str | None:
    query = "SELECT state FROM intake_ledger WHERE orthanc_id = :id"
    rows = scratch.ask(own.system, "examflow", query, id=orthanc_id)
    return rows[0][0] if rows else None


def test_its_three_commands_find_mend_and_replay(own: Faulty) -> None:
    own.running.open_exam("EX-MISSING", "user:alice")
    scratch.ask(own.system, "examflow", "REVOKE INSERT ON images_medicales FROM registration")
    answer = upload(own.running.client(), fresh("CT_small.dcm"), examenID="EX-MISSING")
    assert answer.is_success, answer.text
    data = answer.json()["data"]
    eventually(lambda: _state(own, data["ID"]) == "dead", what="a dead image")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _block().replace(".run/env", str(own.system.layout.env))],
        cwd=REPO,
        env=os.environ | {"EXAMFLOW_ROOT": str(own.system.root), "SOP_INSTANCE_UID": data["SOPInstanceUID"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found, _, replayed = done.stdout.partition("GRANT")
    assert "InsufficientPrivilegeError" in found
    assert "examflow dead-letters replay" in found
    assert replayed
    assert registered(own.running.client(), data["ID"])["imageID"]
