"""Images that arrive before their exam, or for an exam that is not theirs: they wait, and say why."""

import pytest

from services.registration_service.database import Database
from shared.events import Context, Origin
from tests.integration import given, rows


async def test_an_exam_that_is_not_open_yet(database: Database) -> None:
    exam = given.name()
    data = given.image(exam=exam)
    entry = await given.take(database, data)
    assert (entry.state, entry.code) == ("waiting", "exam-unknown")
    assert entry.reason == f"exam {exam} is not open yet"
    assert await rows.records(database, data) == []
    assert await rows.said(database, data.orthanc_instance_id) == [
        (
            "image.waiting",
            {
                "orthancInstanceId": data.orthanc_instance_id,
                "sopInstanceUID": data.sop_instance_uid,
                "examenID": exam,
                "accessionNumber": None,
                "code": "exam-unknown",
                "reason": f"exam {exam} is not open yet",
            },
        )
    ]


async def test_an_accession_number_that_no_exam_has(database: Database) -> None:
    accession = given.name("ACC")
    entry = await given.take(database, given.image(accession_number=accession))
    assert (entry.state, entry.code) == ("waiting", "accession-unknown")
    assert entry.reason == f"no exam has the accession number {accession} yet"


async def test_an_accession_number_that_two_exams_have(database: Database) -> None:
    accession = given.name("ACC")
    for exam in (given.name(), given.name()):
        await given.open_exam(database, exam, "user:alice", accession_number=accession)
    data = given.image(accession_number=accession)
    entry = await given.take(database, data)
    assert (entry.state, entry.code) == ("waiting", "accession-ambiguous")
    assert entry.reason == f"several exams have the accession number {accession}"
    assert await rows.records(database, data) == []


async def test_neither_exam_nor_accession_number(database: Database) -> None:
    entry = await given.take(database, given.image())
    assert (entry.state, entry.code) == ("waiting", "no-exam-named")
    assert entry.reason == "no exam was named, and the image has no accession number"


@pytest.mark.parametrize("named", ["exam", "accession"])
async def test_an_uploader_who_is_no_principal(database: Database, named: str) -> None:
    exam, accession = given.name(), given.name("ACC")
    await given.open_exam(database, exam, "user:bob", "group:radiology", accession_number=accession)
    data = given.image(exam=exam) if named == "exam" else given.image(accession_number=accession)
    entry = await given.take(database, data)
    assert (entry.state, entry.code) == ("waiting", "not-a-principal")
    assert entry.reason == "the uploader is not one of the exam's principals"
    assert await rows.records(database, data) == []


@pytest.mark.parametrize(
    "origin",
    [
        Origin(kind="upload", actor="bob"),
        Origin(kind="upload", actor="carol", groups=["cardiology", "radiology"]),
        Origin(kind="upload", actor="olga", all_exams=True),
        Origin(kind="modality", aet="CT1", remote_ip="10.0.0.7"),
        Origin(kind="partner", actor="ris"),
    ],
    ids=["principal", "group", "exams:all", "modality", "partner"],
)
async def test_who_may_bring_an_image_by_accession_number(database: Database, origin: Origin) -> None:
    exam, accession = given.name(), given.name("ACC")
    await given.open_exam(database, exam, "user:bob", "group:radiology", accession_number=accession)
    data = given.image(accession_number=accession, origin=origin)
    assert (await given.take(database, data)).state == "registered"
    assert (await rows.record(database, data)).exam_id == exam


async def test_an_exam_named_counts_before_the_accession_number(database: Database) -> None:
    accession, named = given.name("ACC"), given.name()
    await given.open_exam(database, given.name(), "user:alice", accession_number=accession)
    data = given.image(exam=named, accession_number=accession)
    assert (await given.take(database, data)).code == "exam-unknown"
    await given.open_exam(database, named, "user:alice")
    assert (await rows.record(database, data)).exam_id == named


async def test_the_exam_opened_later_registers_all_that_wait_for_it(database: Database) -> None:
    exam, accession = given.name(), given.name("ACC")
    named = given.image(exam=exam, description="kept")
    found = given.image(accession_number=accession)
    not_hers = given.image(by="mallory", exam=exam)
    for data in (named, found, not_hers):
        assert (await given.take(database, data)).state == "waiting"
    await given.open_exam(database, exam, "user:alice", accession_number=accession)

    image = await rows.record(database, named)
    assert (image.exam_id, image.description, image.modalite) == (exam, "kept", "CT")
    assert image.acquired_at == given.TAKEN_AT
    assert (await rows.record(database, found)).exam_id == exam
    keys = [key for key, _ in await rows.said(database, named.orthanc_instance_id)]
    assert keys == ["image.waiting", "image.registered"]
    entry = await rows.entry(database, named)
    assert (entry.state, entry.code, entry.reason) == ("registered", None, None)
    assert await rows.records(database, not_hers) == []
    assert (await rows.entry(database, not_hers)).code == "not-a-principal"


async def test_a_principal_added_later_registers_what_waits_for_that(database: Database) -> None:
    exam = given.name()
    await given.open_exam(database, exam, "user:bob")
    data = given.image(exam=exam)
    assert (await given.take(database, data)).code == "not-a-principal"
    await given.open_exam(database, exam, "user:bob", "user:alice", version=2)
    assert (await rows.record(database, data)).exam_id == exam


async def test_a_context_that_arrives_later_registers_what_waits(database: Database) -> None:
    exam = given.name()
    await given.open_exam(database, exam, "user:alice")
    data = given.image()
    assert (await given.take(database, data)).code == "no-exam-named"
    again = data.model_copy(update={"context": Context(examen_id=exam, description="said later")})
    assert (await given.take(database, again)).state == "registered"
    assert (await rows.record(database, data)).description == "said later"


async def test_a_second_exam_that_cannot_be_had_leaves_the_first_wish(database: Database) -> None:
    first, second = given.name(), given.name()
    data = given.image(exam=first)
    await given.take(database, data)
    other = data.model_copy(
        update={"context": Context(examen_id=second), "origin": Origin(kind="upload", actor="mallory")}
    )
    entry = await given.take(database, other)
    assert (entry.wanted_exam_id, entry.conflict_exam_id) == (first, second)
    assert entry.reason == f"exam {first} is not open yet"
    said = [(key, event["examenID"]) for key, event in await rows.said(database, data.orthanc_instance_id)]
    assert said == [("image.waiting", first), ("image.refused", second)]
    await given.open_exam(database, first, "user:alice")
    assert (await rows.record(database, data)).exam_id == first


async def test_a_second_exam_that_can_be_had_registers_what_waits(database: Database) -> None:
    first, second = given.name(), given.name()
    await given.open_exam(database, second, "user:alice")
    data = given.image(exam=first)
    await given.take(database, data)
    entry = await given.take(database, data.model_copy(update={"context": Context(examen_id=second)}))
    assert (entry.state, entry.conflict_exam_id) == ("registered", None)
    assert (await rows.record(database, data)).exam_id == second


async def test_the_same_event_again_is_told_once(database: Database) -> None:
    data = given.image(exam=given.name())
    for _ in range(3):
        await given.take(database, data)
    assert len(await rows.said(database, data.orthanc_instance_id)) == 1


async def test_without_date_and_modality_the_record_has_its_reception_and_unknown(database: Database) -> None:
    exam = given.name()
    await given.open_exam(database, exam, "user:alice")
    data = given.image(exam=exam, acquisition_date=None, modality=None)
    await given.take(database, data)
    image = await rows.record(database, data)
    assert image.acquired_at == given.HAPPENED
    assert (image.modalite, image.description) == ("UNKNOWN", "")
    assert image.url == f"/dicom/wado/{data.sop_instance_uid}"


async def test_an_accession_number_that_one_of_two_exams_gives_up_is_no_longer_ambiguous(database: Database) -> None:
    accession, stays, goes = given.name("ACC"), given.name(), given.name()
    for exam in (stays, goes):
        await given.open_exam(database, exam, "user:alice", accession_number=accession)
    data = given.image(accession_number=accession)
    assert (await given.take(database, data)).code == "accession-ambiguous"
    await given.open_exam(database, goes, "user:alice", version=2)
    assert (await rows.record(database, data)).exam_id == stays


@pytest.mark.parametrize("second", [Origin(kind="upload", actor="alice"), Origin(kind="modality", aet="CT1")])
@pytest.mark.parametrize("open_first", [True, False])
async def test_of_those_who_brought_equal_bytes_one_who_may_is_enough(
    database: Database, second: Origin, *, open_first: bool
) -> None:
    exam, accession = given.name(), given.name("ACC")
    data = given.image(by="mallory", accession_number=accession)
    if open_first:
        await given.open_exam(database, exam, "user:alice", accession_number=accession)
    assert (await given.take(database, data)).state == "waiting"
    await given.take(database, data.model_copy(update={"origin": second}))
    if not open_first:
        await given.open_exam(database, exam, "user:alice", accession_number=accession)
    assert (await rows.record(database, data)).exam_id == exam
