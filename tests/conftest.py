"""One system for the whole run: started here, or named by EXAMFLOW_TARGET (the root of one that runs already)."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from deploy.local import lifecycle
from deploy.local.layout import Layout
from tests.backends import chosen
from tests.running import Running
from tests.sentinels import found_in

# A busy machine is no finding, and a run finds what the one before found.
settings.register_profile("ours", deadline=None, derandomize=True, database=None)
settings.load_profile("ours")

RUN = Path(__file__).parent.parent / ".run"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backends", default="local", choices=["local", "containers"], help="who runs the servers")
    parser.addoption("--chaos", type=int, metavar="N", help="the loss lab as stated, with N images a row; else small")


@pytest.fixture(scope="session")
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A running system; its data lives below .run/test-<pid> and is gone afterwards."""
    target = os.environ.get("EXAMFLOW_TARGET")
    if target:
        system = Running(Path(target).absolute())
        yield system
        system.close()
        return
    _forget_dead_runs()
    root = RUN / f"test-{os.getpid()}"
    backends = chosen(request.config.getoption("--backends"))
    started = backends.start(root)
    try:
        lifecycle.up(started, print)
        system = Running(root)
        yield system
        system.close()
        found = found_in(started)
        assert not found, f"names, IDs or birth dates of patients stand in: {', '.join(found)}"
    finally:
        if not os.environ.get("KEEP_TEST_SYSTEM"):
            lifecycle.clean(Layout(root), print)
            shutil.rmtree(root, ignore_errors=True)
        backends.stop()


def _forget_dead_runs() -> None:
    """What a killed test run left behind: its processes and its data."""
    for root in RUN.glob("test-*"):
        pid = root.name.removeprefix("test-")
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            lifecycle.clean(Layout(root), print)
            shutil.rmtree(root, ignore_errors=True)
