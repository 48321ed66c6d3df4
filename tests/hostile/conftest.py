"""The besieged system, and beside it a gateway with small limits."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import lifecycle
from deploy.local.layout import Layout
from deploy.local.system import System, load
from tests.chaos.background import Background
from tests.conftest import RUN
from tests.dicom_files import fresh
from tests.hostile.besieged import SETTINGS, Besieged, behind_a_door, brought_up
from tests.running import Running, upload


@pytest.fixture(scope="package")
def besieged(running: Running) -> Iterator[Besieged]:
    _forget_dead_runs()
    found = load(running.root)
    assert found is not None
    background = Background()
    backing, door = behind_a_door(found, background)
    for system in brought_up(f"test-hostile-{os.getpid()}", backing, ("upload", "gateway"), SETTINGS):
        besieged = Besieged(system, door, background)
        for _ in range(20):  # what is loaded at the first use is no one's upload
            assert upload(besieged.running.client(), fresh("CT_small.dcm")).status_code == 201
        yield besieged
        besieged.running.close()
    door.close()
    background.close()


@pytest.fixture(scope="package")
def narrow(besieged: Besieged) -> Iterator[System]:
    """A gateway that allows little, in front of the same upload service; it trusts a proxy on this machine."""
    limits = {
        "GATEWAY_REQUESTS_PER_SECOND": "2",
        "GATEWAY_REQUESTS_BURST": "10",
        "GATEWAY_UPLOADS_PER_CLIENT": "3",
        "GATEWAY_TRUSTED_PROXY": "127.0.0.1",
        "GATEWAY_HSTS": "max-age=31536000",
    }
    ports = besieged.system.ports.model_dump(exclude={"gateway"})
    name = f"test-hostile-narrow-{os.getpid()}"
    yield from brought_up(name, besieged.system, ("gateway",), SETTINGS | limits, **ports)


@pytest.fixture(scope="package")
def alone(besieged: Besieged) -> Iterator[System]:
    """A gateway with no service behind it."""
    yield from brought_up(f"test-hostile-alone-{os.getpid()}", besieged.system, ("gateway",), SETTINGS)


def _forget_dead_runs() -> None:
    for root in RUN.glob("test-hostile-*"):
        if not Path(f"/proc/{root.name.rpartition('-')[2]}").exists():
            lifecycle.clean(Layout(root), print)
            shutil.rmtree(root, ignore_errors=True)
