"""An operator says to which exam an image belongs."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from services.registration_service.by_http import HttpRegistrations
from services.registration_service.database import Database
from services.registration_service.models import LedgerEntry
from services.registration_service.ops import assign, correct
from services.registration_service.ops.errors import AlreadyRegistered, NotAssignable, NotInLedger, SeveralImages
from services.registration_service.settings import ReconcilerSettings
from services.registration_service.sweep import Sweep
from shared.events import Context, DicomStored, Origin
from tests.integration import given, rows


async def _assign(database: Database, name: str, exam: str, reason: str = "seen on the wall") -> assign.Assigned:
    async with database.transaction() as session:
        return await assign.assign(session, name, exam, "olivia", reason)


async def _put(database: Database, data: DicomStored, **values: Any) -> None:
    async with database.transaction() as session:
        mine = LedgerEntry.orthanc_id == data.orthanc_instance_id
        await session.execute(update(LedgerEntry).where(mine).values(**values))


@pytest.mark.parametrize(
    "brought",
    [
        lambda: given.image(exam=given.name()),
        lambda: given.image(accession_number=given.name("A")),
        given.image,
        lambda: given.image(origin=Origin(kind="modality", aet="CT1")),
    ],
    ids=["another exam", "accession number", "nothing", "modality"],
)
async def test_an_open_exam_gets_the_image_at_once_whoever_brought_it(
    database: Database, brought: Callable[[], DicomStored]
) -> None:
    exam, data = given.name(), brought()
    await given.open_exam(database, exam, "user:bob")
    assert (await given.take(database, data)).state == "waiting"
    done = await _assign(database, data.orthanc_instance_id, exam)
    image = await rows.record(database, data)
    assert (done.entry.state, image.exam_id) == ("registered", exam)
    assert done.image is not None
    assert done.image.image_id == image.image_id
    assert image.acquired_at == given.TAKEN_AT


async def test_of_two_exams_with_its_accession_number_the_operator_says_which(database: Database) -> None:
    number, right = given.name("A"), given.name()
    for exam in (right, given.name()):
        await given.open_exam(database, exam, "user:alice", accession_number=number)
    data = given.image(accession_number=number)
    await given.take(database, data)
    await _assign(database, data.sop_instance_uid, right)
    assert (await rows.record(database, data)).exam_id == right


async def test_it_stands_in_the_audit_trail_with_actor_and_reason(database: Database) -> None:
    exam, data = given.name(), given.image()
    await given.open_exam(database, exam)
    await given.take(database, data)
    await _assign(database, data.orthanc_instance_id, exam, "phoned the ward")
    assert await rows.audited(database, subject=data.sop_instance_uid) == [
        ("olivia", "image.register", "created"),
        ("olivia", "image.assign", "registered"),
    ]
    assert await rows.reasons(database, data.sop_instance_uid) == [None, "phoned the ward"]
    said = [key for key, _ in await rows.said(database, data.orthanc_instance_id)]
    assert said == ["image.waiting", "image.registered"]


async def test_an_exam_that_is_not_open_is_waited_for_under_the_operators_wish(database: Database) -> None:
    exam, data = given.name(), given.image(exam=given.name())
    await given.take(database, data)
    entry = (await _assign(database, data.orthanc_instance_id, exam)).entry
    assert (entry.state, entry.code, entry.reason) == ("waiting", "exam-unknown", f"exam {exam} is not open yet")
    await given.open_exam(database, exam, "user:bob")  # alice, who brought it, may not write it
    assert (await rows.record(database, data)).exam_id == exam


async def test_the_operators_word_is_not_undone_by_who_names_another_exam(database: Database) -> None:
    exam, hers, data = given.name(), given.name(), given.image()
    await given.open_exam(database, hers, "user:alice")
    await given.take(database, data)
    await _assign(database, data.orthanc_instance_id, exam)
    entry = await given.take(database, data.model_copy(update={"context": Context(examen_id=hers)}))
    assert (entry.state, entry.wanted_exam_id, entry.conflict_exam_id) == ("waiting", exam, hers)
    refused = [body for key, body in await rows.said(database, data.orthanc_instance_id) if key == "image.refused"]
    assert [(body["examenID"], body["code"]) for body in refused] == [(hers, "exam-already-named")]
    await given.open_exam(database, exam)
    assert (await rows.record(database, data)).exam_id == exam


async def test_the_exam_that_could_not_be_had_is_no_conflict_once_the_operator_names_it(database: Database) -> None:
    first, second = given.name(), given.name()
    data = given.image(exam=first)
    await given.take(database, data)
    await given.take(database, data.model_copy(update={"context": Context(examen_id=second)}))
    entry = (await _assign(database, data.orthanc_instance_id, second)).entry
    assert (entry.wanted_exam_id, entry.conflict_exam_id) == (second, None)


async def test_assigned_again_to_the_exam_it_has_nothing_changes(database: Database) -> None:
    exam, data = given.name(), given.image()
    await given.open_exam(database, exam)
    await given.take(database, data)
    first = await _assign(database, data.orthanc_instance_id, exam)
    again = await _assign(database, data.orthanc_instance_id, exam)
    assert first.image is not None
    assert again.image is not None
    assert again.image.image_id == first.image.image_id
    assert len(await rows.audited(database, subject=data.sop_instance_uid)) == 2


async def test_a_registered_image_is_moved_and_not_assigned(database: Database) -> None:
    exam, other, data = given.name(), given.name(), given.image()
    for each in (exam, other):
        await given.open_exam(database, each)
    await given.take(database, data)
    await _assign(database, data.orthanc_instance_id, exam)
    with pytest.raises(AlreadyRegistered) as refused:
        await _assign(database, data.sop_instance_uid, other)
    assert refused.value.status == 409
    assert f"registered under exam {exam}" in str(refused.value)
    assert f"images move {data.orthanc_instance_id} --exam {other}" in str(refused.value)
    assert (await rows.record(database, data)).exam_id == exam


@pytest.mark.parametrize("state", ["dead", "seen"])
async def test_without_its_event_an_image_is_told_anew_and_registered_by_that(database: Database, state: str) -> None:
    """Its date and modality come with the event."""
    exam, data = given.name(), given.image()
    await given.open_exam(database, exam, "user:bob")
    await given.take(database, data)
    await _put(database, data, state=state, code="dead-letter", event_at=None, publish_after=None, publishes=9)
    entry = (await _assign(database, data.orthanc_instance_id, exam)).entry
    assert (entry.state, entry.code, entry.wanted_exam_id) == ("seen", None, exam)
    stands = await rows.entry(database, data)
    assert stands.publish_after is not None
    assert stands.publishes == 0
    assert (await given.take(database, data)).state == "registered"
    image = await rows.record(database, data)
    assert (image.exam_id, image.modalite) == (exam, "CT")


async def test_a_refused_twin_is_registered_once_the_other_is_unlinked(database: Database) -> None:
    exam, data = given.name(), given.image()
    await given.open_exam(database, exam, "user:alice")
    await given.take(database, data.model_copy(update={"context": Context(examen_id=exam)}))
    twin = given.image(sop_instance_uid=data.sop_instance_uid)
    assert (await given.take(database, twin.model_copy(update={"context": Context(examen_id=exam)}))).state == "refused"
    with pytest.raises(NotAssignable, match="another image is registered"):
        await _assign(database, twin.orthanc_instance_id, exam)
    assert (await rows.entry(database, twin)).attributes == {}
    with pytest.raises(SeveralImages) as several:
        await _assign(database, data.sop_instance_uid, exam)
    assert {data.orthanc_instance_id, twin.orthanc_instance_id} <= set(str(several.value).replace("(", " ").split())
    async with database.transaction() as session:
        await correct.unlink(session, data.sop_instance_uid, "olivia", "the other one is right")
    await _assign(database, twin.orthanc_instance_id, exam)
    assert (await rows.record(database, data)).orthanc_id == twin.orthanc_instance_id


@pytest.mark.parametrize(("state", "code"), [("deleted", "deleted"), ("refused", "unusable-identifiers")])
async def test_what_cannot_be_registered_is_refused(database: Database, state: str, code: str) -> None:
    data = given.image()
    await given.take(database, data)
    await _put(database, data, state=state, code=code, reason="of no use")
    with pytest.raises(NotAssignable, match=f"stays {state} .of no use"):
        await _assign(database, data.orthanc_instance_id, given.name())
    assert await rows.audited(database, subject=data.sop_instance_uid) == []


async def test_a_record_that_http_made_before_is_given_its_image(
    database: Database, registrations: HttpRegistrations
) -> None:
    """Alice may no longer write the exam of the record: the operator may still say that it is hers."""
    exam, other = given.name(), given.name()
    await given.open_exam(database, exam, "user:alice")
    data = given.image()
    await registrations.register(given.ALICE, given.asked(data, exam, orthancInstanceId=None))
    await given.open_exam(database, exam, "user:bob", version=2)
    await given.take(database, data)
    assert (await rows.entry(database, data)).code == "sop_uid_in_use"
    with pytest.raises(AlreadyRegistered, match=f"under exam {exam}"):
        await _assign(database, data.orthanc_instance_id, other)
    assert (await _assign(database, data.orthanc_instance_id, exam)).entry.state == "registered"
    assert (await rows.record(database, data)).orthanc_id == data.orthanc_instance_id


async def test_nobody_knows_the_image(database: Database) -> None:
    with pytest.raises(NotInLedger):
        await _assign(database, "1.2.3", given.name())


async def test_an_exam_opens_while_its_image_is_assigned(database: Database) -> None:
    """Neither misses the other, in any order."""
    for _ in range(20):
        exam, data = given.name(), given.image()
        await given.take(database, data)
        await asyncio.gather(
            _assign(database, data.orthanc_instance_id, exam), given.open_exam(database, exam, "user:bob")
        )
        assert (await rows.record(database, data)).exam_id == exam
    await Sweep(database, ReconcilerSettings()).sweep()
