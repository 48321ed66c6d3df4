"""A record that is taken away: its image waits, and nothing that was known before links it again."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from services.registration_service import arrivals
from services.registration_service.by_http import HttpRegistrations
from services.registration_service.database import Database
from services.registration_service.models import Image, LedgerEntry
from services.registration_service.ops import assign, correct
from services.registration_service.ops.errors import NotInLedger, NotRegistered
from services.registration_service.settings import ReconcilerSettings
from services.registration_service.sweep import Sweep
from shared.errors import ExamUnknown
from shared.events import Context, DicomStored, Origin
from tests.integration import given, rows


async def _unlink(database: Database, name: str, reason: str = "not this exam") -> correct.Unlinked:
    async with database.transaction() as session:
        return await correct.unlink(session, name, "olivia", reason)


async def _registered(database: Database, **of: str) -> tuple[str, DicomStored]:
    """An exam of alice's with accession number, and an image registered under it by that, or by name."""
    exam, number = given.name(), given.name("A")
    await given.open_exam(database, exam, "user:alice", accession_number=number)
    data = given.image(accession_number=number, **of)
    if "exam" not in of:
        data = data.model_copy(update={"context": Context(examen_id=exam, description="said")})
    assert (await given.take(database, data)).state == "registered"
    return exam, data


async def _waits(database: Database, data: DicomStored) -> None:
    entry = await rows.entry(database, data)
    assert (entry.state, entry.code) == ("waiting", "unlinked")
    assert await rows.records(database, data) == []


async def test_the_record_is_gone_and_the_image_waits(database: Database) -> None:
    exam, data = await _registered(database)
    await _unlink(database, data.sop_instance_uid)
    await _waits(database, data)
    entry = await rows.entry(database, data)
    assert (entry.wanted_exam_id, entry.registered_by, entry.wanted_description) == (None, None, "said")
    assert exam not in (entry.reason or "")
    key, body = (await rows.said(database, data.orthanc_instance_id))[-1]
    assert (key, body["code"], body["examenID"]) == ("image.waiting", "unlinked", None)


async def test_reason_and_actor_stand_in_the_audit_trail_alone(database: Database) -> None:
    exam, data = await _registered(database)
    await _unlink(database, data.orthanc_instance_id, "belongs to P. Atient")
    assert (await rows.audited(database, subject=data.sop_instance_uid))[-1] == ("olivia", "image.unlink", "unlinked")
    assert (await rows.audited(database, exam_id=exam))[-1] == ("olivia", "image.unlink", "unlinked")
    assert (await rows.reasons(database, data.sop_instance_uid))[-1] == "belongs to P. Atient"
    assert "Atient" not in str((await rows.entry(database, data)).__dict__)
    assert "Atient" not in str(await rows.said(database, data.orthanc_instance_id))


async def test_the_sweep_leaves_it(database: Database) -> None:
    _, data = await _registered(database)
    await _unlink(database, data.sop_instance_uid)
    await Sweep(database, ReconcilerSettings()).sweep()
    await _waits(database, data)


async def test_the_same_upload_again_leaves_it_and_is_told_so_once(database: Database) -> None:
    exam, data = await _registered(database)
    await _unlink(database, data.sop_instance_uid)
    for _ in range(2):
        await given.take(database, data)
        await _waits(database, data)
    refused = [body for key, body in await rows.said(database, data.orthanc_instance_id) if key == "image.refused"]
    assert [(body["examenID"], body["code"]) for body in refused] == [(exam, "unlinked")]
    assert (await rows.entry(database, data)).wanted_exam_id is None


async def test_its_accession_number_does_not_link_it_again(database: Database) -> None:
    exam, number = given.name(), given.name("A")
    await given.open_exam(database, exam, accession_number=number)
    data = given.image(accession_number=number, origin=Origin(kind="modality", aet="CT1"))
    assert (await given.take(database, data)).state == "registered"
    await _unlink(database, data.sop_instance_uid)
    await given.take(database, data)
    await _waits(database, data)
    await given.open_exam(database, exam, accession_number=number, version=2)
    await _waits(database, data)


async def test_the_exam_changing_leaves_it(database: Database) -> None:
    exam, data = await _registered(database)
    await _unlink(database, data.sop_instance_uid)
    await given.open_exam(database, exam, "user:alice", "user:bob", version=2)
    await _waits(database, data)


async def test_its_parked_context_leaves_it_and_is_merged_once(database: Database) -> None:
    _, data = await _registered(database)
    await _unlink(database, data.sop_instance_uid)
    parked = given.event(data)
    async with database.transaction() as session:
        await arrivals.merge(session, parked)
    await given.take(database, data)  # the reconciler tells of it
    await _waits(database, data)
    assert arrivals.is_merged(await rows.entry(database, data), parked)


async def test_deleted_and_stored_again_it_still_waits(database: Database) -> None:
    _, data = await _registered(database)
    await _unlink(database, data.sop_instance_uid)
    async with database.transaction() as session:
        mine = LedgerEntry.orthanc_id == data.orthanc_instance_id
        before = given.HAPPENED - timedelta(hours=1)
        gone = {"state": "deleted", "code": "deleted", "reason": "gone", "decided_at": before}
        await session.execute(update(LedgerEntry).where(mine).values(gone))
    await given.take(database, data)
    await _waits(database, data)


async def test_an_event_that_names_another_exam_links_it(database: Database) -> None:
    _, data = await _registered(database)
    await _unlink(database, data.sop_instance_uid)
    later = given.name()
    anew = data.model_copy(update={"context": Context(examen_id=later, description="right")})
    assert (await given.take(database, anew)).code == "exam-unknown"
    await given.open_exam(database, later, "user:alice")
    image = await rows.record(database, data)
    assert (image.exam_id, image.description) == (later, "right")


async def test_an_operator_may_assign_it_even_to_the_same_exam(database: Database) -> None:
    exam, data = await _registered(database)
    before = await rows.record(database, data)
    await _unlink(database, data.sop_instance_uid)
    async with database.transaction() as session:
        await assign.assign(session, data.sop_instance_uid, exam, "olivia", "it was right after all")
    image = await rows.record(database, data)
    assert (image.exam_id, image.description) == (exam, "said")
    assert image.image_id != before.image_id


async def test_unlinked_twice_neither_exam_comes_back(database: Database) -> None:
    exam, data = await _registered(database)
    await _unlink(database, data.sop_instance_uid)
    second = given.name()
    await given.open_exam(database, second, "user:alice")
    async with database.transaction() as session:
        await assign.assign(session, data.sop_instance_uid, second, "olivia", "this one")
    await _unlink(database, data.sop_instance_uid)
    for each in (exam, second):
        await given.take(database, data.model_copy(update={"context": Context(examen_id=each)}))
        await _waits(database, data)


async def test_assigned_before_its_event_came_it_is_registered_by_that(database: Database) -> None:
    exam, data = await _registered(database)
    await _unlink(database, data.sop_instance_uid)
    async with database.transaction() as session:
        mine = LedgerEntry.orthanc_id == data.orthanc_instance_id
        await session.execute(update(LedgerEntry).where(mine).values(event_at=None))
    async with database.transaction() as session:
        done = await assign.assign(session, data.sop_instance_uid, exam, "olivia", "it was right after all")
    assert done.entry.state == "seen"
    assert (await given.take(database, data)).state == "registered"


async def test_what_http_said_about_it_is_kept_for_the_next_record(
    database: Database, registrations: HttpRegistrations
) -> None:
    exam, data = await _registered(database)
    await registrations.register(given.ALICE, given.asked(data, exam))
    await _unlink(database, data.sop_instance_uid)
    async with database.transaction() as session:
        await assign.assign(session, data.sop_instance_uid, exam, "olivia", "again")
    assert (await rows.record(database, data)).description == "by HTTP"


async def test_http_registers_it_anew(database: Database, registrations: HttpRegistrations) -> None:
    exam, data = await _registered(database)
    await _unlink(database, data.sop_instance_uid)
    done = await registrations.register(given.ALICE, given.asked(data, exam))
    assert done.created
    assert (await rows.entry(database, data)).state == "registered"


async def test_a_record_whose_file_never_came_is_removed(database: Database, registrations: HttpRegistrations) -> None:
    exam, data = given.name(), given.image()
    await given.open_exam(database, exam, "user:alice")
    await registrations.register(given.ALICE, given.asked(data, exam, orthancInstanceId=None))
    done = await _unlink(database, data.sop_instance_uid)
    assert done.entry is None
    assert await rows.records(database, data) == []
    assert (await rows.audited(database, subject=data.sop_instance_uid))[-1] == ("olivia", "image.unlink", "unlinked")


async def test_what_has_no_record_cannot_be_unlinked_or_moved(database: Database) -> None:
    data = given.image()
    await given.take(database, data)
    with pytest.raises(NotRegistered, match="it is waiting"):
        await _unlink(database, data.sop_instance_uid)
    with pytest.raises(NotInLedger):
        await _unlink(database, "1.2.3.4")
    async with database.transaction() as session:
        with pytest.raises(NotRegistered):
            await correct.move(session, data.sop_instance_uid, given.name(), "olivia", "x")


@pytest.mark.parametrize("by", ["image", "sop", "orthanc"])
async def test_moved_with_a_reason_by_any_of_its_names(database: Database, by: str) -> None:
    exam, data = await _registered(database)
    other, image = given.name(), await rows.record(database, data)
    names = {"image": image.image_id, "sop": data.sop_instance_uid, "orthanc": data.orthanc_instance_id}
    async with database.transaction() as session:
        with pytest.raises(ExamUnknown):
            await correct.move(session, names[by], other, "olivia", "wrong knee")
    await given.open_exam(database, other)
    async with database.transaction() as session:
        await correct.move(session, names[by], other, "olivia", "wrong knee")
    async with database.transaction() as session:
        assert await session.scalar(select(Image.exam_id).where(Image.image_id == image.image_id)) == other
    assert await rows.audited(database, exam_id=other, action="image.move") == [("olivia", "image.move", "moved-here")]
    assert (await rows.reasons(database, data.sop_instance_uid))[-2:] == ["wrong knee", "wrong knee"]
    key, body = (await rows.said(database, data.orthanc_instance_id))[-1]
    assert (key, body["fromExamenID"], body["toExamenID"]) == ("image.moved", exam, other)
