"""Both doors, or both sides, at the same moment, many times over: one record, and nothing is missed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from pydicom import dcmread

from deploy.local.system import System
from services.registration_service.by_http import HttpRegistrations
from services.registration_service.database import Database
from services.registration_service.errors import RegisteredElsewhere
from services.registration_service.models import Image
from shared.events import DicomStored
from shared.orthanc import Orthanc
from tests.dicom_files import fresh
from tests.integration import accounts, given, rows

PAIRS = 50


@pytest.fixture
async def patient(system: System, database: Database) -> AsyncIterator[HttpRegistrations]:
    """Registration by HTTP that waits long for an event."""
    orthanc = Orthanc(accounts.orthanc(system, "registration"))
    async with contextlib.aclosing(orthanc):
        yield HttpRegistrations(database, orthanc, 20)


async def _stored(orthanc: Orthanc, exam: str) -> DicomStored:
    """An image that Orthanc has, and what the upload service will say of it."""
    content = fresh("CT_small.dcm")
    stored, tags = await orthanc.store(content), dcmread(BytesIO(content), stop_before_pixels=True)
    return given.image(
        exam=exam,
        description="by event",
        orthanc_instance_id=stored.instance_id,
        study_instance_uid=tags.StudyInstanceUID,
        series_instance_uid=tags.SeriesInstanceUID,
        sop_instance_uid=tags.SOPInstanceUID,
    )


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all at once to their ends, whichever fails."""
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if outcome is not None:
            raise outcome


def _filled_in(image: Image) -> None:
    assert (image.description, image.modalite, image.url) == ("by HTTP", "MR", "/dicom/given")
    assert image.acquired_at == datetime(2020, 2, 3, 3, 5, 6, tzinfo=UTC)


async def test_http_and_event_at_once_make_one_record(
    database: Database, orthanc: Orthanc, patient: HttpRegistrations
) -> None:
    exam = given.name()
    await given.open_exam(database, exam, "user:alice")
    images = [await _stored(orthanc, exam) for _ in range(PAIRS)]

    async def pair(data: DicomStored) -> None:
        answer, _ = await asyncio.gather(
            patient.register(given.ALICE, given.asked(data, exam)), given.take(database, data)
        )
        _filled_in(answer.image)
        image = await rows.record(database, data)
        _filled_in(image)
        assert image.image_id == answer.image.image_id
        assert image.orthanc_id == data.orthanc_instance_id
        assert (await rows.entry(database, data)).state == "registered"
        told = [said["created"] for key, said in await rows.said(database, data.orthanc_instance_id)]
        assert told.count(True) == 1

    await _all(pair(data) for data in images)


async def test_http_that_names_no_instance_and_event_at_once_make_one_record(
    database: Database, registrations: HttpRegistrations
) -> None:
    exam = given.name()
    await given.open_exam(database, exam, "user:alice")

    async def pair(data: DicomStored) -> None:
        wanted = given.asked(data, exam, orthancInstanceId=None)
        await asyncio.gather(registrations.register(given.ALICE, wanted), given.take(database, data))
        image = await rows.record(database, data)
        assert image.orthanc_id == data.orthanc_instance_id
        assert (await rows.entry(database, data)).state == "registered"
        _filled_in(image)

    await _all(pair(given.image(exam=exam, description="by event")) for _ in range(PAIRS))


async def test_sixteen_equal_events_at_once_make_one_record(database: Database) -> None:
    exam = given.name()
    await given.open_exam(database, exam, "user:alice")
    data = given.image(exam=exam)
    entries = await asyncio.gather(*(given.take(database, data) for _ in range(16)))
    assert [entry.state for entry in entries] == ["registered"] * 16
    assert (await rows.record(database, data)).exam_id == exam
    assert [key for key, _ in await rows.said(database, data.orthanc_instance_id)] == ["image.registered"]
    assert (await rows.entry(database, data)).attempts == 16
    audited = await rows.audited(database, subject=data.sop_instance_uid)
    assert audited == [("alice", "image.register", "created")]


async def test_of_two_exams_at_once_one_holds_the_image(database: Database, registrations: HttpRegistrations) -> None:
    exams = [given.name(), given.name()]
    for exam in exams:
        await given.open_exam(database, exam, "user:alice")

    async def both(data: DicomStored) -> None:
        await given.take(database, data)
        answers = await asyncio.gather(
            *(registrations.register(given.ALICE, given.asked(data, exam)) for exam in exams), return_exceptions=True
        )
        lost = [answer for answer in answers if isinstance(answer, BaseException)]
        assert [type(error) for error in lost] == [RegisteredElsewhere]
        held = (await rows.record(database, data)).exam_id
        assert [exam for exam, answer in zip(exams, answers, strict=True) if answer not in lost] == [held]

    await _all(both(given.image()) for _ in range(20))


@pytest.mark.parametrize("by_accession", [False, True])
async def test_an_exam_and_its_image_at_once_never_miss_each_other(database: Database, *, by_accession: bool) -> None:
    async def pair() -> None:
        exam, accession = given.name(), given.name("ACC")
        named = {"accession_number": accession} if by_accession else {"exam": exam}
        data = given.image(**named)
        await asyncio.gather(
            given.take(database, data),
            given.open_exam(database, exam, "user:alice", accession_number=accession),
        )
        entry = await rows.entry(database, data)
        assert (entry.state, entry.code) == ("registered", None)
        assert (await rows.record(database, data)).exam_id == exam

    await _all(pair() for _ in range(PAIRS))


async def test_two_exams_of_one_accession_number_at_once_leave_no_doubt_about_what_waits(database: Database) -> None:
    """Registered under the first, or waiting for a person: either is right, but nothing in between."""
    for _ in range(10):
        accession = given.name("ACC")
        data = given.image(accession_number=accession)
        await asyncio.gather(
            given.open_exam(database, given.name(), "user:alice", accession_number=accession),
            given.take(database, data),
            given.open_exam(database, given.name(), "user:alice", accession_number=accession),
        )
        entry = await rows.entry(database, data)
        assert (entry.state, entry.code) in (("registered", None), ("waiting", "accession-ambiguous"))
        assert len(await rows.records(database, data)) == (entry.state == "registered")
