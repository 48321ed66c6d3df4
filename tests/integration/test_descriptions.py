"""What an upload says of an image is kept, whoever told of the image first."""

import pytest

from services.registration_service import arrivals
from services.registration_service.database import Database
from shared.events import Context, DicomStored, Origin
from tests.integration import given, rows

MODALITY = Origin(kind="modality", aet="CT1")


def _later(data: DicomStored, exam: str | None, description: str, by: str = "alice") -> DicomStored:
    """The same image's event from its upload."""
    context = Context(examen_id=exam, description=description)
    return data.model_copy(update={"origin": Origin(kind="upload", actor=by), "context": context})


@pytest.fixture
async def numbered(database: Database) -> tuple[str, DicomStored]:
    """An image that is registered by its accession number, and described by nobody."""
    exam, number = given.name(), given.name("A")
    await given.open_exam(database, exam, "user:alice", "user:bob", accession_number=number)
    data = given.image(accession_number=number, origin=MODALITY)
    assert (await given.take(database, data)).state == "registered"
    return exam, data


@pytest.mark.parametrize("named", [True, False])
async def test_it_describes_a_record_that_was_made_without_it(
    database: Database, numbered: tuple[str, DicomStored], *, named: bool
) -> None:
    exam, data = numbered
    await given.take(database, _later(data, exam if named else None, "thorax"))
    assert (await rows.record(database, data)).description == "thorax"
    audited = await rows.audited(database, subject=data.sop_instance_uid)
    assert audited == [("CT1", "image.register", "created"), ("alice", "image.register", "filled-in")]
    told = [said["created"] for _, said in await rows.said(database, data.orthanc_instance_id)]
    assert told == [True, False]


async def test_the_first_description_stays(database: Database, numbered: tuple[str, DicomStored]) -> None:
    exam, data = numbered
    for by, description in (("alice", "first"), ("bob", "second"), ("alice", "")):
        await given.take(database, _later(data, exam, description, by))
    assert (await rows.record(database, data)).description == "first"


async def test_a_stranger_describes_nothing(database: Database, numbered: tuple[str, DicomStored]) -> None:
    exam, data = numbered
    await given.take(database, _later(data, exam, "of a stranger", "mallory"))
    assert (await rows.record(database, data)).description == ""


async def test_nor_does_who_names_another_exam(database: Database, numbered: tuple[str, DicomStored]) -> None:
    _, data = numbered
    other = given.name()
    await given.open_exam(database, other, "user:alice")
    await given.take(database, _later(data, other, "for another exam"))
    assert (await rows.record(database, data)).description == ""
    assert (await rows.entry(database, data)).conflict_exam_id == other


async def test_a_parked_context_describes_it_too(database: Database, numbered: tuple[str, DicomStored]) -> None:
    exam, data = numbered
    async with database.transaction() as session:
        await arrivals.merge(session, given.event(_later(data, exam, "parked")))
    assert (await rows.record(database, data)).description == "parked"


async def test_an_upload_without_an_exam_describes_what_the_reconciler_found_first(database: Database) -> None:
    number = given.name("A")
    data = given.image(accession_number=number, origin=Origin(kind="upload-recovered"))
    await given.take(database, data)
    await given.take(database, _later(data, None, "thorax"))
    await given.open_exam(database, given.name(), "user:alice", accession_number=number)
    assert (await rows.record(database, data)).description == "thorax"
