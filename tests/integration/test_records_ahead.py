"""A record that HTTP makes before its image comes: whose image fills it in, and whose does not."""

import pytest

from services.registration_service.by_http import HttpRegistrations
from services.registration_service.database import Database
from shared.events import Origin
from shared.permission import Caller
from tests.integration import given, rows


@pytest.mark.parametrize(
    ("records_number", "others_number", "images_number", "state"),
    [
        (None, None, None, "registered"),
        (None, None, "new", "registered"),
        ("mine", None, "mine", "registered"),
        ("mine", "mine", "mine", "registered"),
        (None, "hers", "hers", "refused"),
        ("mine", "hers", "hers", "refused"),
        ("mine", None, "new", "refused"),
    ],
)
async def test_a_record_made_ahead_catches_no_modalitys_image_of_another_exam(
    database: Database,
    registrations: HttpRegistrations,
    records_number: str | None,
    others_number: str | None,
    images_number: str | None,
    state: str,
) -> None:
    """Mallory guesses the UIDs of an image that is to come, and registers them under an exam of Mallory's."""
    own, hers, unique = given.name(), given.name(), given.name("A")
    numbers = {"mine": f"{unique}-1", "hers": f"{unique}-2", "new": f"{unique}-3", None: None}
    await given.open_exam(database, own, "user:mallory", accession_number=numbers[records_number])
    await given.open_exam(database, hers, "user:carol", accession_number=numbers[others_number])
    for origin in (Origin(kind="modality", aet="CT1"), Origin(kind="partner", actor="ris")):
        data = given.image(origin=origin, accession_number=numbers[images_number])
        await registrations.register(Caller("mallory"), given.asked(data, own, orthancInstanceId=None))
        entry = await given.take(database, data)
        assert entry.state == state
        linked = data.orthanc_instance_id if state == "registered" else None
        assert (await rows.record(database, data)).orthanc_id == linked


async def test_an_uploaders_own_word_counts_whatever_the_number_says(
    database: Database, registrations: HttpRegistrations
) -> None:
    exam, number = given.name(), given.name("A")
    await given.open_exam(database, exam, "user:alice")
    await given.open_exam(database, given.name(), "user:carol", accession_number=number)
    data = given.image(accession_number=number)
    await registrations.register(given.ALICE, given.asked(data, exam, orthancInstanceId=None))
    assert (await given.take(database, data)).state == "registered"
    assert (await rows.record(database, data)).orthanc_id == data.orthanc_instance_id
