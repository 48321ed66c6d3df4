"""An image that is registered already: the same again is the same record, and anything else is refused."""

import pytest

from services.registration_service.by_http import HttpRegistrations
from services.registration_service.database import Database
from services.registration_service.errors import RegisteredElsewhere, UidInUse
from shared.events import Context
from tests.dicom_files import fresh_uid
from tests.integration import given, rows


@pytest.fixture
async def exam(database: Database) -> str:
    """An exam of Alice's."""
    exam = given.name()
    await given.open_exam(database, exam, "user:alice")
    return exam


async def test_of_two_by_http_the_first_wins(database: Database, registrations: HttpRegistrations, exam: str) -> None:
    data = given.image()
    await given.take(database, data)
    first = await registrations.register(given.ALICE, given.asked(data, exam, description="the first"))
    assert first.created
    second = await registrations.register(
        given.ALICE, given.asked(data, exam, description="the second", modalite="XA", url="/dicom/second")
    )
    assert not second.created
    assert second.image.image_id == first.image.image_id
    for image in (second.image, await rows.record(database, data)):
        assert (image.description, image.modalite, image.url) == ("the first", "MR", "/dicom/given")


async def test_what_an_event_made_http_fills_in_once(
    database: Database, registrations: HttpRegistrations, exam: str
) -> None:
    data = given.image(exam=exam, description="by event")
    await given.take(database, data)
    made = await rows.record(database, data)
    assert (made.description, made.modalite) == ("by event", "CT")
    filled = await registrations.register(given.ALICE, given.asked(data, exam, url=None, description=""))
    assert not filled.created
    assert (filled.image.image_id, filled.image.description, filled.image.modalite) == (made.image_id, "", "MR")
    assert filled.image.url == f"/dicom/wado/{data.sop_instance_uid}"
    later = await registrations.register(given.ALICE, given.asked(data, exam, description="too late"))
    assert later.image.description == ""
    told = [(key, said["created"]) for key, said in await rows.said(database, data.orthanc_instance_id)]
    assert told == [("image.registered", True), ("image.registered", False)]


async def test_an_event_after_http_changes_nothing(
    database: Database, registrations: HttpRegistrations, exam: str
) -> None:
    data = given.image(exam=exam, description="by event")
    await given.take(database, data)
    await registrations.register(given.ALICE, given.asked(data, exam))
    assert (await given.take(database, data)).state == "registered"
    assert (await rows.record(database, data)).description == "by HTTP"


async def test_another_exam_by_http_is_a_conflict(
    database: Database, registrations: HttpRegistrations, exam: str
) -> None:
    data, other = given.image(exam=exam), given.name()
    await given.take(database, data)
    await given.open_exam(database, other, "user:alice")
    with pytest.raises(RegisteredElsewhere):
        await registrations.register(given.ALICE, given.asked(data, other))
    image = await rows.record(database, data)
    assert (image.exam_id, image.description) == (exam, "")


async def test_another_exam_by_event_is_noted_and_refused(database: Database, exam: str) -> None:
    data, other = given.image(exam=exam), given.name()
    await given.take(database, data)
    elsewhere = data.model_copy(update={"context": Context(examen_id=other, description="no")})
    for _ in range(2):
        entry = await given.take(database, elsewhere)
    assert (entry.state, entry.conflict_exam_id) == ("registered", other)
    image = await rows.record(database, data)
    assert (image.exam_id, image.description) == (exam, "")
    told = await rows.said(database, data.orthanc_instance_id)
    assert [key for key, _ in told] == ["image.registered", "image.refused"]
    assert told[1][1] == {
        "orthancInstanceId": data.orthanc_instance_id,
        "sopInstanceUID": data.sop_instance_uid,
        "examenID": other,
        "code": "registered-elsewhere",
        "reason": "the image is registered under another exam, and the first one holds",
    }


@pytest.mark.parametrize("field", ["studyInstanceUID", "seriesInstanceUID"])
async def test_other_uids_of_a_registered_sop_uid_are_a_conflict(
    registrations: HttpRegistrations, exam: str, field: str
) -> None:
    data = given.image()
    wanted = given.asked(data, exam, orthancInstanceId=None)
    await registrations.register(given.ALICE, wanted)
    with pytest.raises(UidInUse, match=field):
        await registrations.register(given.ALICE, wanted.model_copy(update={field: fresh_uid()}))


async def test_another_stored_file_of_a_registered_sop_uid_is_a_conflict(
    database: Database, registrations: HttpRegistrations, exam: str
) -> None:
    data = given.image(exam=exam)
    await given.take(database, data)
    twin = given.image(sop_instance_uid=data.sop_instance_uid, study_instance_uid=data.study_instance_uid)
    twin = twin.model_copy(update={"series_instance_uid": data.series_instance_uid})
    entry = await given.take(database, twin.model_copy(update={"context": Context(examen_id=exam)}))
    assert (entry.state, entry.code) == ("refused", "sop_uid_in_use")
    assert entry.reason == "another image is registered under this SOP Instance UID"
    [(key, said)] = await rows.said(database, twin.orthanc_instance_id)
    assert (key, said["code"], said["examenID"]) == ("image.refused", "sop_uid_in_use", exam)
    with pytest.raises(UidInUse, match="orthancInstanceId"):
        await registrations.register(given.ALICE, given.asked(twin, exam))
    assert (await rows.record(database, data)).orthanc_id == data.orthanc_instance_id


@pytest.mark.parametrize("known", ["waiting", "registered"])
async def test_a_deleted_image_that_is_stored_again_is_what_it_was(database: Database, exam: str, known: str) -> None:
    data = given.image(exam=exam if known == "registered" else given.name())
    await given.take(database, data)
    before = await rows.records(database, data)
    async with database.transaction() as session:
        entry = await session.merge(await rows.entry(database, data))
        entry.state, entry.code = "deleted", None
    entry = await given.take(database, data)
    assert (entry.state, entry.code) == (known, None if known == "registered" else "exam-unknown")
    assert [image.image_id for image in await rows.records(database, data)] == [image.image_id for image in before]
