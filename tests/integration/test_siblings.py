"""Which images of a series registration tells of together: blocks that do not overlap, of one exam."""

from services.registration_service.database import Database
from services.registration_service.fate import describe_instance
from services.registration_service.internal_schemas import InternalInstance
from shared.events import DicomStored
from tests.dicom_files import fresh_uid
from tests.integration import given


async def _taken(database: Database, exam: str | None, number: int, **uids: str) -> list[DicomStored]:
    images = [given.image(exam=exam, **uids) for _ in range(number)]
    for image in images:
        await given.take(database, image)
    return images


async def _described(database: Database, image: DicomStored, block: int) -> InternalInstance:
    async with database.transaction() as session:
        return await describe_instance(session, image.orthanc_instance_id, block)


async def test_blocks_are_the_same_whichever_image_is_asked_for(database: Database) -> None:
    exam, uids = given.name(), {"study_instance_uid": fresh_uid(), "series_instance_uid": fresh_uid()}
    await given.open_exam(database, exam, "user:alice")
    images = await _taken(database, exam, 7, **uids)
    blocks = []
    for image in images:
        told = await _described(database, image, 3)
        assert told.orthancInstanceId not in {one.orthancInstanceId for one in told.siblings}
        blocks.append(frozenset({told.orthancInstanceId, *(one.orthancInstanceId for one in told.siblings)}))
    assert sorted(map(len, set(blocks))) == [1, 3, 3]
    assert frozenset[str]().union(*blocks) == {image.orthanc_instance_id for image in images}
    assert (await _described(database, images[0], 0)).siblings == []


async def test_only_registered_images_of_its_exam_and_series_are_told(database: Database) -> None:
    exam, other = given.name(), given.name()
    uids = {"study_instance_uid": fresh_uid(), "series_instance_uid": fresh_uid()}
    await given.open_exam(database, exam, "user:alice")
    await given.open_exam(database, other, "user:alice")
    asked, sibling = await _taken(database, exam, 2, **uids)
    await _taken(database, other, 1, **uids)
    waiting, *_ = await _taken(database, None, 1, **uids)
    await _taken(database, exam, 1, **uids | {"series_instance_uid": fresh_uid()})
    await _taken(database, exam, 1, **uids | {"study_instance_uid": fresh_uid()})
    [told] = (await _described(database, asked, 100)).siblings
    assert (told.orthancInstanceId, told.sopInstanceUID) == (sibling.orthanc_instance_id, sibling.sop_instance_uid)
    assert (told.uploaders, told.digest, told.modality) == (["alice"], sibling.digest, "CT")
    assert (await _described(database, waiting, 100)).siblings == []
