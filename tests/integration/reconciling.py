"""The reconciler's steps one by one, on a database of their own and the real Orthanc."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from pydicom import dcmread
from sqlalchemy import func, select, update

from deploy.local.system import System
from services.registration_service.arrivals import without_row
from services.registration_service.changes import Following
from services.registration_service.database import Database
from services.registration_service.full_compare import FullCompare
from services.registration_service.intake import take_in
from services.registration_service.models import Image, LedgerEntry, ReconcilerCursor
from services.registration_service.republishing import Republishing
from services.registration_service.settings import ReconcilerSettings
from services.registration_service.sweep import Sweep
from services.registration_service.unaccounted import Gauges
from services.registration_service.unparking import Unparking
from shared.broker import Publisher
from shared.errors import BrokerAway
from shared.events import DicomStored, Event
from shared.orthanc import PARKED, Orthanc
from tests import dicom_files
from tests.integration import accounts, given, scratch


def image(accession: str = "", name: str = "CT_small.dcm", **tags: str) -> bytes:
    """A DICOM file that no other test knows, with this accession number."""
    dataset = dcmread(BytesIO(dicom_files.fresh(name)))
    dataset.AccessionNumber = accession
    for tag, value in tags.items():
        setattr(dataset, tag, value)
    written = BytesIO()
    dataset.save_as(written)
    return written.getvalue()


def store_scu(system: System, files: Iterable[bytes], aet: str = "STORESCU") -> None:
    """Send the files as a modality does."""
    host, _, port = system.backing.dicom.rpartition(":")
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(files):
            (Path(folder) / f"{number}.dcm").write_bytes(content)
        command = ["storescu", "-aet", aet, "-aec", "EXAMFLOW", "+sd", host, port, folder]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


class Registration(Publisher):
    """What registration would do with each event; `away` says that the broker does not confirm."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.events: list[Event[Any]] = []
        self.away = False

    async def publish(self, event: Event[Any], *, mandatory: bool = True) -> None:
        assert mandatory
        if self.away:
            raise BrokerAway
        self.events.append(event)
        read = Event[DicomStored].model_validate_json(event.model_dump_json(by_alias=True))
        async with self._database.transaction() as session:
            await take_in(session, read.data, read.time)

    def about(self, orthanc_id: str) -> list[Event[DicomStored]]:
        return [event for event in self.events if event.subject == orthanc_id]


class Reconciling:
    """One reconciler, stepped by a test."""

    def __init__(self, database: Database, orthanc: Orthanc, admin: httpx.Client, settings: ReconcilerSettings) -> None:
        self.database = database
        self.orthanc = orthanc
        self.admin = admin
        self.settings = settings
        self.registration = Registration(database)
        self.following = Following(database, orthanc, settings)
        self.republishing = Republishing(database, orthanc, self.registration, settings, "UTC")
        self.unparking = Unparking(database, orthanc, settings)
        self.full_compare = FullCompare(database, orthanc, settings)
        self.sweep = Sweep(database, settings)
        self.gauges = Gauges(database, orthanc, settings)

    async def run(self) -> None:
        """Each step once, in the order of a new image's way."""
        await self.following.read_on()
        await self.full_compare.compare_if_due()
        await self.republishing.publish_due()
        await self.unparking.take_off()

    async def catch_up(self) -> None:
        """Read all that other tests left in Orthanc, and have done with it."""
        await self.following.read_on()
        await self.full_compare.compare_if_due()
        async with self.database.transaction() as session:
            await session.execute(update(LedgerEntry).where(LedgerEntry.state == "seen").values(state="refused"))

    def put(self, content: bytes) -> str:
        """Store a file as the administrator does, past all services; its id."""
        answer = self.admin.post("/instances", content=content)
        answer.raise_for_status()
        return str(answer.json()["ID"])

    def park(self, event: Event[DicomStored]) -> None:
        body = event.model_dump_json(by_alias=True)
        self.admin.put(f"/instances/{event.subject}/metadata/{PARKED}", content=body).raise_for_status()

    def parked(self, orthanc_id: str) -> bool:
        return self.admin.get(f"/instances/{orthanc_id}/metadata/{PARKED}").status_code == 200

    def delete(self, orthanc_id: str) -> None:
        self.admin.delete(f"/instances/{orthanc_id}").raise_for_status()

    async def entry(self, orthanc_id: str) -> LedgerEntry | None:
        async with self.database.transaction() as session:
            return await session.get(LedgerEntry, orthanc_id)

    async def state(self, orthanc_id: str) -> str | None:
        entry = await self.entry(orthanc_id)
        return entry.state if entry else None

    async def records(self, orthanc_id: str) -> list[str]:
        """The exams under which it is registered: one at most."""
        async with self.database.transaction() as session:
            found = await session.scalars(select(Image.exam_id).where(Image.orthanc_id == orthanc_id))
            return list(found)

    async def cursor(self) -> ReconcilerCursor:
        async with self.database.transaction() as session:
            return await session.get_one(ReconcilerCursor, 1)

    async def missing(self, ids: Iterable[str]) -> set[str]:
        async with self.database.transaction() as session:
            return await without_row(session, list(ids))

    async def due_now(self, *ids: str) -> None:
        """Their pause is over."""
        async with self.database.transaction() as session:
            for entry in await session.scalars(select(LedgerEntry).where(LedgerEntry.orthanc_id.in_(ids))):
                entry.publish_after = func.now()


def as_uploaded(orthanc_id: str, exam: str | None = None, by: str = "alice", **changes: Any) -> DicomStored:
    """What the upload service says of an image in Orthanc."""
    return given.image(by=by, exam=exam, orthanc_instance_id=orthanc_id, **changes)


def parked(data: DicomStored) -> Event[DicomStored]:
    """The event that an upload could not send."""
    return given.event(data, time=given.HAPPENED)


@contextlib.contextmanager
def own_database(system: System, purpose: str) -> Iterator[str]:
    """The name of a database that knows nothing of what is in Orthanc."""
    name = f"test_{purpose}_{os.getpid()}"
    scratch.make(system, name)
    scratch.alembic(system, name, "upgrade", "head")
    yield name
    scratch.drop(system, name)


def settings(**changes: Any) -> ReconcilerSettings:
    """As they are by default, but small pages."""
    return ReconcilerSettings(**({"changes_page": 7, "changes_overlap": 3, "compare_page": 100} | changes))


@contextlib.asynccontextmanager
async def opened(system: System, tables: str, **changes: Any) -> AsyncIterator[Reconciling]:
    """A reconciler with the accounts of the real one."""
    database = Database(accounts.database(system, tables))
    orthanc = Orthanc(accounts.orthanc(system, "registration"))
    auth = ("admin", system.secrets.of("orthanc")["admin"])
    with httpx.Client(base_url=f"http://{system.backing.orthanc}", auth=auth, trust_env=False, timeout=30) as admin:
        async with contextlib.aclosing(database), contextlib.aclosing(orthanc):
            yield Reconciling(database, orthanc, admin, settings(**changes))
