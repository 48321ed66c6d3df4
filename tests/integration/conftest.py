"""The adapters of shared/ and of registration, each opened for one test against the real servers."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from aio_pika.abc import AbstractChannel

from deploy.local.system import System, load
from services.registration_service.by_http import HttpRegistrations
from services.registration_service.database import Database
from shared.orthanc import Orthanc
from tests.integration import accounts, faulty, given, scratch
from tests.integration.faulty import Faulty
from tests.integration.queues import channel_of
from tests.integration.reconciling import Reconciling, image, opened, own_database
from tests.integration.replicas import Replica, started
from tests.integration.shown import Shown
from tests.running import Running, registered, upload


@pytest.fixture(scope="session")
def system(running: Running) -> System:
    """Addresses and passwords of the system that runs."""
    found = load(running.root)
    assert found is not None, f"there is no system in {running.root}"
    return found


@pytest.fixture(scope="session")
def tables(system: System) -> Iterator[str]:
    """The name of a database with our tables that no service works on."""
    name = f"test_tables_{os.getpid()}"
    scratch.make(system, name)
    scratch.alembic(system, name, "upgrade", "head")
    yield name
    scratch.drop(system, name)


@pytest.fixture
async def database(system: System, tables: str) -> AsyncIterator[Database]:
    """As the registration service opens it: with the rights of its role."""
    database = Database(accounts.database(system, tables))
    yield database
    await database.aclose()


@pytest.fixture
async def orthanc(system: System) -> AsyncIterator[Orthanc]:
    """With the upload service's account."""
    orthanc = Orthanc(accounts.orthanc(system, "upload"))
    yield orthanc
    await orthanc.aclose()


@pytest.fixture
async def registrations(system: System, database: Database) -> AsyncIterator[HttpRegistrations]:
    """Registration by HTTP, below its routes; it waits a tenth of a second for an event."""
    orthanc = Orthanc(accounts.orthanc(system, "registration"))
    yield HttpRegistrations(database, orthanc, 0.1)
    await orthanc.aclose()


@pytest.fixture(scope="module")
def whole(request: pytest.FixtureRequest) -> Iterator[Faulty]:
    """A system of one test file's own, with the file's SETTINGS where it has any."""
    if request.config.getoption("--backends") != "local":
        pytest.skip("stops, kills or freezes local processes")
    yield from faulty.make(**getattr(request.module, "SETTINGS", {}))


@pytest.fixture
def broken(whole: Faulty) -> Iterator[Faulty]:
    """The same, whole again after each test."""
    yield whole
    faulty.mend(whole)


@pytest.fixture(scope="module")
def replicas(whole: Faulty) -> Iterator[list[Replica]]:
    """Two of preview: the system's own, and another."""
    own = Replica(whole.system.service_url("preview"), whole.pid("preview"))
    with started(whole.system, "preview") as other:
        yield [own, other]


@pytest.fixture
def shown(broken: Faulty) -> Shown:
    """An image of alice's exam."""
    exam, alice = given.name(), broken.running.client("alice")
    broken.running.open_exam(exam, "user:alice")
    orthanc_id = upload(alice, image(), examenID=exam).json()["data"]["ID"]
    return Shown(broken, exam, orthanc_id, registered(alice, orthanc_id)["imageID"])


@pytest.fixture(scope="module")
def own_tables(system: System, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a database of one test file's own, with our tables."""
    with own_database(system, request.module.__name__.rpartition("_")[2]) as name:
        yield name


@pytest.fixture
async def reconciler(system: System, own_tables: str) -> AsyncIterator[Reconciling]:
    """One that has read all that there is."""
    async with opened(system, own_tables) as reconciler:
        await reconciler.catch_up()
        yield reconciler


@pytest.fixture
async def admin(system: System) -> AsyncIterator[AbstractChannel]:
    """A channel of the broker's administrator, who may declare queues."""
    async with channel_of(system, "admin") as channel:
        yield channel
