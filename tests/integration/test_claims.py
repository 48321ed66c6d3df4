"""Who may register which stored image by HTTP; what may not be claimed does not exist for the caller."""

from io import BytesIO

import pytest
from pydicom import dcmread

from services.registration_service.by_http import HttpRegistrations
from services.registration_service.database import Database
from services.registration_service.errors import EventOnItsWay
from shared.errors import ExamUnknown, InvalidInput
from shared.events import Context, Origin
from shared.orthanc import Orthanc
from shared.permission import OPS, Caller
from tests.dicom_files import fresh, fresh_uid
from tests.integration import given, rows


@pytest.fixture
async def exam(database: Database) -> str:
    """An exam of Alice's and Bob's."""
    exam = given.name()
    await given.open_exam(database, exam, "user:alice", "user:bob")
    return exam


async def test_an_unknown_exam_and_one_that_is_not_yours_are_refused_alike(
    database: Database, registrations: HttpRegistrations, exam: str
) -> None:
    data = given.image()
    await given.take(database, data)
    for caller, named in ((given.ALICE, given.name()), (Caller("mallory"), exam)):
        with pytest.raises(ExamUnknown):
            await registrations.register(caller, given.asked(data, named))
    assert await rows.records(database, data) == []


async def test_under_an_exam_that_is_not_yours_no_instance_is_looked_at(
    database: Database, registrations: HttpRegistrations, exam: str
) -> None:
    stored = given.image()
    await given.take(database, stored)
    for instance in (stored, given.image()):
        with pytest.raises(ExamUnknown):
            await registrations.register(Caller("mallory"), given.asked(instance, exam))


async def test_an_instance_that_nobody_stored_is_no_stored_image(registrations: HttpRegistrations, exam: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await registrations.register(given.ALICE, given.asked(given.image(), exam))
    assert [error.field for error in refused.value.errors] == ["orthancInstanceId"]


async def test_another_uploaders_instance_is_no_stored_image_either(
    database: Database, registrations: HttpRegistrations, exam: str
) -> None:
    data = given.image(by="bob")
    await given.take(database, data)
    said = []
    for instance in (data, given.image()):
        with pytest.raises(InvalidInput) as refused:
            await registrations.register(given.ALICE, given.asked(instance, exam))
        said.append((str(refused.value), refused.value.errors))
    assert said[0] == said[1]
    assert await rows.records(database, data) == []


@pytest.mark.parametrize("caller", [given.OVERSEER, Caller("bob", frozenset({OPS}))], ids=["exams:all", "ops"])
async def test_who_sees_all_may_claim_any(
    database: Database, registrations: HttpRegistrations, exam: str, caller: Caller
) -> None:
    data = given.image(by="carol")
    await given.take(database, data)
    registered = await registrations.register(caller, given.asked(data, exam))
    assert registered.created
    assert (await rows.entry(database, data)).state == "registered"


async def test_all_who_uploaded_equal_bytes_may_claim_them(
    database: Database, registrations: HttpRegistrations, exam: str
) -> None:
    data = given.image(by="bob")
    for uploader in ("bob", "alice", "bob"):
        await given.take(database, data.model_copy(update={"origin": Origin(kind="upload", actor=uploader)}))
    assert (await rows.entry(database, data)).uploaders == ["bob", "alice"]
    assert (await registrations.register(given.ALICE, given.asked(data, exam))).created


async def test_wrong_uids_are_each_named(database: Database, registrations: HttpRegistrations, exam: str) -> None:
    data = given.image()
    await given.take(database, data)
    fields = ["studyInstanceUID", "seriesInstanceUID", "sopInstanceUID"]
    wrong = {field: fresh_uid() for field in fields}
    with pytest.raises(InvalidInput) as refused:
        await registrations.register(given.ALICE, given.asked(data, exam, **wrong))
    assert {error.field: error.value for error in refused.value.errors} == wrong
    for field in fields:
        with pytest.raises(InvalidInput) as refused:
            await registrations.register(given.ALICE, given.asked(data, exam, **{field: wrong[field]}))
        assert [error.field for error in refused.value.errors] == [field]
    assert await rows.records(database, data) == []


async def test_an_instance_found_by_its_sop_uid_must_have_the_other_uids_too(
    database: Database, registrations: HttpRegistrations, exam: str
) -> None:
    data = given.image()
    await given.take(database, data)
    wanted = given.asked(data, exam, orthancInstanceId=None, studyInstanceUID=fresh_uid())
    with pytest.raises(InvalidInput) as refused:
        await registrations.register(given.ALICE, wanted)
    assert [error.field for error in refused.value.errors] == ["studyInstanceUID"]
    assert await rows.records(database, data) == []


async def test_without_an_instance_named_the_callers_own_is_found(
    database: Database, registrations: HttpRegistrations, exam: str
) -> None:
    data = given.image()
    await given.take(database, data)
    registered = await registrations.register(given.ALICE, given.asked(data, exam, orthancInstanceId=None))
    assert registered.image.orthanc_id == data.orthanc_instance_id
    assert (await rows.entry(database, data)).state == "registered"


async def test_an_image_that_has_not_arrived_is_filled_in_when_it_does(
    database: Database, registrations: HttpRegistrations, exam: str
) -> None:
    data = given.image()
    early = await registrations.register(given.ALICE, given.asked(data, exam, orthancInstanceId=None))
    assert early.created
    assert early.image.orthanc_id is None
    entry = await given.take(database, data.model_copy(update={"context": Context(examen_id=exam, description="no")}))
    assert (entry.state, entry.registered_by) == ("registered", "http")
    image = await rows.record(database, data)
    assert (image.orthanc_id, image.description) == (data.orthanc_instance_id, "by HTTP")
    [(key, said)] = await rows.said(database, data.orthanc_instance_id)
    assert (key, said["created"], said["orthancInstanceId"]) == ("image.registered", False, data.orthanc_instance_id)


async def test_it_is_filled_in_only_by_who_may_see_the_exam(
    database: Database, registrations: HttpRegistrations, exam: str
) -> None:
    data = given.image(by="mallory")
    await registrations.register(given.ALICE, given.asked(data, exam, orthancInstanceId=None))
    assert (await given.take(database, data)).state == "refused"
    assert (await rows.record(database, data)).orthanc_id is None


async def test_anothers_instance_of_the_sop_uid_is_not_taken(
    database: Database, registrations: HttpRegistrations, exam: str
) -> None:
    data = given.image(by="mallory")
    await given.take(database, data)
    registered = await registrations.register(given.ALICE, given.asked(data, exam, orthancInstanceId=None))
    assert registered.image.orthanc_id is None
    assert (await rows.entry(database, data)).state == "waiting"


async def test_a_stored_image_whose_event_is_on_its_way(
    database: Database, registrations: HttpRegistrations, orthanc: Orthanc, exam: str
) -> None:
    content = fresh("CT_small.dcm")
    stored, tags = await orthanc.store(content), dcmread(BytesIO(content), stop_before_pixels=True)
    data = given.image(
        orthanc_instance_id=stored.instance_id,
        study_instance_uid=tags.StudyInstanceUID,
        series_instance_uid=tags.SeriesInstanceUID,
        sop_instance_uid=tags.SOPInstanceUID,
    )
    # Nobody knows yet that it is Alice's; who sees all need not wait for that.
    with pytest.raises(EventOnItsWay):
        await registrations.register(given.ALICE, given.asked(data, exam))
    assert (await registrations.register(given.OVERSEER, given.asked(data, exam))).created
    assert (await given.take(database, data)).state == "registered"
    entry = await rows.entry(database, data)
    assert (entry.uploaders, entry.digest, entry.registered_by) == (["alice"], data.digest, "http")


async def test_wrong_uids_are_found_by_asking_orthanc_too(
    registrations: HttpRegistrations, orthanc: Orthanc, exam: str
) -> None:
    stored = await orthanc.store(fresh("CT_small.dcm"))
    data = given.image(orthanc_instance_id=stored.instance_id)
    with pytest.raises(InvalidInput) as refused:
        await registrations.register(given.OVERSEER, given.asked(data, exam))
    assert {error.field for error in refused.value.errors} == {
        "studyInstanceUID",
        "seriesInstanceUID",
        "sopInstanceUID",
    }


async def test_under_anothers_exam_an_instance_tells_none_of_its_uids(
    database: Database, registrations: HttpRegistrations, exam: str
) -> None:
    """Registered or not: whoever guesses an id learns nothing that an unknown one would not tell."""
    hers = given.name()
    await given.open_exam(database, hers, "user:carol")
    data = given.image(by="carol", exam=hers)
    assert (await given.take(database, data)).state == "registered"
    said = []
    for instance in (data, given.image()):
        with pytest.raises(InvalidInput) as refused:
            await registrations.register(given.ALICE, given.asked(instance, exam, studyInstanceUID=fresh_uid()))
        said.append(refused.value.errors)
    assert said[0] == said[1]
    with pytest.raises(InvalidInput) as refused:
        await registrations.register(Caller("carol"), given.asked(data, hers, studyInstanceUID=fresh_uid()))
    assert [error.field for error in refused.value.errors] == ["studyInstanceUID"]
