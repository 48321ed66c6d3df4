"""What becomes of a partner's events in the running service: checked, believed in little, and told by its name."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel
from pydicom import dcmread

from deploy.local.system import System
from services.registration_service.consumers import STORED_QUEUE
from services.registration_service.settling import rung
from shared.events import CONTENT_TYPE, Context, DicomStored, ExamUpserted, Origin
from shared.orthanc import Orthanc
from tests.integration import given, scratch
from tests.integration.partners import Partner, audited, partner
from tests.integration.queues import channel_of, dead_letters, send, soon, take, take_by_id
from tests.integration.reconciling import image
from tests.running import Running

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def ris(running: Running) -> Iterator[Partner]:
    with partner(running.env) as made:
        yield made


@dataclass
class Stored:
    """An image that a partner put into Orthanc, what it says of it, and its accession number."""

    accession: str
    data: DicomStored


@pytest.fixture
async def stored(orthanc: Orthanc, ris: Partner) -> Stored:
    """The reconciler waits 30 s before it tells of what the upload service's account stored: the partner comes first.

    All that can be wrong in the partner's words without the image being another one is wrong.
    """
    accession = given.name("A")
    content = image(accession)
    tags, kept = dcmread(BytesIO(content), stop_before_pixels=True), await orthanc.store(content)
    return Stored(
        accession,
        given.image(
            orthanc_instance_id=kept.instance_id,
            study_instance_uid=tags.StudyInstanceUID,
            series_instance_uid=tags.SeriesInstanceUID,
            sop_instance_uid=tags.SOPInstanceUID,
            modality="XX",
            acquisition_date=LONG_AGO,
            accession_number="another",
            origin=Origin(kind="upload", actor="alice", groups=["radiologie"], all_exams=True),
            context=Context(examen_id="EX-of-another", description="ATIENT^P"),
        ),
    )


async def _entry(system: System, orthanc_id: str) -> dict[str, Any] | None:
    query = """
        SELECT state, code, wanted_exam_id, wanted_description, uploaders, origin, origins, modality, accession_number,
               acquired_at, size, first_seen, (SELECT "examenID" FROM images_medicales WHERE "orthancInstanceId" = :id)
        FROM intake_ledger WHERE orthanc_id = :id
    """
    names = ["state", "code", "exam", "description", "uploaders", "origin", "origins", "modality", "accession"]
    names += ["acquired", "size", "first_seen", "linked"]
    rows = await scratch.fetch(system, "examflow", query, id=orthanc_id)
    return dict(zip(names, rows[0], strict=True)) if rows else None


async def _decided(system: System, orthanc_id: str) -> dict[str, Any]:
    async def ask() -> dict[str, Any] | None:
        found = await _entry(system, orthanc_id)
        return found if found and found["state"] != "seen" else None

    found = await soon(ask, what=f"{orthanc_id} decided")
    assert found is not None
    return found


async def test_it_opens_an_exam_in_its_own_name(system: System, ris: Partner) -> None:
    exam = given.name()
    await ris.tell(ExamUpserted(examen_id=exam, principals=["user:alice"], version=1), exam)
    await soon(lambda: audited(system, exam), what="the exam")
    assert await audited(system, exam) == [(ris.name, "exam.upsert", "created", "corr-partner")]


async def test_its_image_is_matched_by_what_orthanc_says_of_it(
    running: Running, system: System, ris: Partner, stored: Stored
) -> None:
    exam = given.name()
    running.open_exam(exam, "user:nobody-of-these", accessionNumber=stored.accession)
    await ris.tell(stored.data, stored.data.orthanc_instance_id)
    entry = await _decided(system, stored.data.orthanc_instance_id)
    assert (entry["state"], entry["linked"]) == ("registered", exam)
    origin = Origin(kind="partner", actor=ris.name).model_dump(by_alias=True)
    assert (entry["uploaders"], entry["origin"], entry["origins"]) == ([], origin, [origin])
    assert (entry["exam"], entry["description"]) == (None, "")
    assert (entry["modality"], entry["accession"]) == ("CT", stored.accession)
    assert entry["acquired"] > LONG_AGO
    assert entry["size"] != stored.data.size


async def test_the_time_of_its_arrival_is_orthancs(system: System, ris: Partner, stored: Stored) -> None:
    """Where an image has no date of its own, this becomes the record's."""
    event = given.event(stored.data, time=LONG_AGO, source=f"/partner/{ris.name}")
    await ris.publish(event.model_dump_json(by_alias=True).encode(), event.type)
    entry = await _decided(system, stored.data.orthanc_instance_id)
    assert abs(datetime.now(UTC) - entry["first_seen"]) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("study_instance_uid", "studyInstanceUID"),
        ("series_instance_uid", "seriesInstanceUID"),
        ("sop_instance_uid", "sopInstanceUID"),
    ],
)
async def test_another_image_than_orthancs_is_dead(
    system: System, admin: AbstractChannel, ris: Partner, stored: Stored, field: str, name: str
) -> None:
    claimed = stored.data.model_copy(update={field: "1.2.3.4711"})
    message_id = await ris.tell(claimed, stored.data.orthanc_instance_id)
    [dead] = await dead_letters(admin, message_id)
    assert dead.headers["x-reason"] == f"data.{name}: is not the stored image's"
    assert (dead.headers["x-publisher"], dead.headers["x-queue"]) == (ris.name, STORED_QUEUE)
    entry = await _entry(system, stored.data.orthanc_instance_id)
    assert entry is None or entry["state"] == "seen", "nobody holds an image back by telling rubbish of it"


async def test_an_image_that_orthanc_lacks_is_tried_again_and_at_last_dead(
    system: System, admin: AbstractChannel, ris: Partner
) -> None:
    data = given.image()
    message_id = await ris.tell(data, data.orthanc_instance_id, headers={"x-attempt": 4})
    copy = await _from_rung(admin, 1, message_id)
    assert copy.headers["x-attempt"] == 2, "a sender's own count is not believed"
    for attempt in (3, 4):
        await _send_back(system, copy)
        copy = await _from_rung(admin, attempt - 1, message_id)
        assert copy.headers["x-attempt"] == attempt
    await _send_back(system, copy)
    [dead] = await dead_letters(admin, message_id)
    assert dead.headers["x-reason"] == "data.orthancInstanceId: is no stored image"
    assert (dead.headers["x-publisher"], dead.headers["x-attempt"]) == (ris.name, 4)
    assert await _entry(system, data.orthanc_instance_id) is None


async def _from_rung(admin: AbstractChannel, number: int, message_id: str) -> Any:
    [copy] = await soon(lambda: take_by_id(admin, rung(STORED_QUEUE, number), message_id), what=f"rung {number}")
    return copy


async def _send_back(system: System, copy: Any) -> None:
    """What the rung does once its time is over."""
    async with channel_of(system, "registration") as channel:
        kept = {"headers": copy.headers, "message_id": copy.message_id, "content_type": copy.content_type}
        await send(channel, copy.body, STORED_QUEUE, user_id="registration", **kept)


GOOD = given.event(given.image()).model_dump(mode="json", by_alias=True)
MALFORMED = {
    "no JSON": ("dicom.stored", b"{", {}, "body"),
    "no UID": ("dicom.stored", GOOD | {"data": GOOD["data"] | {"sopInstanceUID": ""}}, {}, "data.sopInstanceUID"),
    "another type": ("exam.upserted", GOOD, {}, "data.examenID"),
    "a version in words": (
        "exam.upserted",
        GOOD | {"type": "exam.upserted", "data": {"examenID": "EX-1", "version": "1"}},
        {},
        "data.version",
    ),
    "plain JSON": ("dicom.stored", GOOD, {"content_type": "application/json"}, "contentType"),
}


@pytest.mark.parametrize(("key", "said", "properties", "field"), MALFORMED.values(), ids=list(MALFORMED))
async def test_what_cannot_be_read_is_a_dead_letter_that_names_the_field(
    admin: AbstractChannel, ris: Partner, key: str, said: Any, properties: dict[str, Any], field: str
) -> None:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    [dead] = await dead_letters(admin, await ris.publish(body, key, **properties))
    assert str(dead.headers["x-reason"]).startswith(f"{field}: ")
    assert (dead.headers["x-publisher"], dead.body) == (ris.name, body)


async def test_it_hears_of_a_registration_from_registration(running: Running, ris: Partner, stored: Stored) -> None:
    exam = given.name()
    running.open_exam(exam, accessionNumber=stored.accession)
    await ris.tell(stored.data, stored.data.orthanc_instance_id)
    async with ris.channel() as channel:
        queue = await channel.get_queue(ris.queue, ensure=False)
        while (event := json.loads((heard := await take(queue)).body))["subject"] != stored.data.orthanc_instance_id:
            pass  # of other tests
    assert (heard.routing_key, heard.user_id, heard.content_type) == ("image.registered", "registration", CONTENT_TYPE)
    assert (event["type"], event["data"]["examenID"]) == ("image.registered", exam)
    assert event["data"]["orthancInstanceId"] == stored.data.orthanc_instance_id
