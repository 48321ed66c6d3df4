"""What the gate passes of damaged files, given to a real Orthanc: it takes or refuses each, and goes on."""

import itertools
import os
import shutil
from collections.abc import Iterator

import httpx
import pytest

from deploy.local import lifecycle
from deploy.local.layout import Layout
from deploy.local.ports import Ports
from deploy.local.system import create
from services.upload_service.dicom import read_header
from services.upload_service.syntaxes import TAKEN
from shared.errors import Problem
from tests.conftest import RUN
from tests.fuzz.mutations import BASES, damaged
from tests.integration.faulty import Faulty

MANY = 150
SECONDS = 20.0  # for one file; a sound one takes some 5 ms, and no damaged one was seen to take 300


@pytest.fixture(scope="module")
def sacrificed(request: pytest.FixtureRequest) -> Iterator[Faulty]:
    """An Orthanc of our own: another's would be lost with ours."""
    if request.config.getoption("--backends") != "local":
        pytest.skip("looks at the pid of a local process")
    root = RUN / f"test-fuzz-{os.getpid()}"
    system = create(root, ports=Ports.free(), programs=("orthanc",))
    try:
        lifecycle.up(system, print)
        yield Faulty(system)
    finally:
        lifecycle.clean(Layout(root), print)
        shutil.rmtree(root, ignore_errors=True)


def passed() -> Iterator[bytes]:
    """Damaged files that the gate lets pass."""
    for seed in itertools.count():
        content = damaged(BASES[seed % len(BASES)], seed, 1 + seed % 4)
        try:
            read_header(content, whole=True, limit=8 * 1024 * 1024, syntaxes=frozenset(TAKEN))
        except Problem:
            continue
        yield content


def test_orthanc_outlives_what_the_gate_passes(sacrificed: Faulty) -> None:
    pid, env = sacrificed.pid("orthanc"), sacrificed.running.env
    auth = (env["ORTHANC_USER"], env["ORTHANC_PASSWORD"])
    statuses: dict[int, int] = {}
    with httpx.Client(base_url=env["ORTHANC_URL"], auth=auth, timeout=SECONDS, trust_env=False) as orthanc:
        for content in itertools.islice(passed(), MANY):
            answer = orthanc.post("/instances", content=content)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
    assert sacrificed.pid("orthanc") == pid
    assert statuses.keys() <= {200, 400, 404}, statuses
    assert statuses[200] > MANY // 4
