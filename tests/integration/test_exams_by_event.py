"""Exams that the HIS announces over the broker, against the running registration service."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel

from deploy.local.system import System
from shared.events import CONTENT_TYPE, DicomStored, Event, ExamUpserted
from tests.integration import given, scratch
from tests.integration.queues import channel_of, dead_letters, send, soon


@pytest.fixture
async def upload(system: System) -> AsyncIterator[AbstractChannel]:
    async with channel_of(system, "upload") as channel:
        yield channel


async def _publish(channel: AbstractChannel, event: Event[Any], user: str | None, **changed: Any) -> str:
    said = event.model_dump(mode="json", by_alias=True)
    body = json.dumps(said | {"data": said["data"] | changed}).encode()
    return await send(channel, body, event.type, "medical-images", user_id=user, content_type=CONTENT_TYPE)


def _exam(exam_id: str, version: int = 1, **fields: Any) -> Event[ExamUpserted]:
    data = ExamUpserted(examen_id=exam_id, version=version, **fields)
    return Event.about(data, source="/partner/his", subject=exam_id, correlation_id="corr-his")


async def _fetch(system: System, query: str, **values: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await scratch.fetch(system, "examflow", query, **values)]


async def _version_is(system: System, exam_id: str, version: int) -> None:
    query = 'SELECT version FROM examens_medicaux WHERE "examenID" = :id'

    async def ask() -> bool:
        return await _fetch(system, query, id=exam_id) == [(version,)]

    await soon(ask, what=f"version {version} of {exam_id}")


async def _registered_under(system: System, data: DicomStored, exam_id: str) -> None:
    query = 'SELECT "examenID" FROM images_medicales WHERE "orthancInstanceId" = :id'

    async def ask() -> bool:
        return await _fetch(system, query, id=data.orthanc_instance_id) == [(exam_id,)]

    await soon(ask, what=f"{data.orthanc_instance_id} registered under {exam_id}")


async def _waits(system: System, data: DicomStored, code: str) -> None:
    query = "SELECT state, code FROM intake_ledger WHERE orthanc_id = :id"

    async def ask() -> bool:
        return await _fetch(system, query, id=data.orthanc_instance_id) == [("waiting", code)]

    await soon(ask, what=f"{data.orthanc_instance_id} {code}")


async def test_it_opens_an_exam_and_registers_what_waits(
    system: System, admin: AbstractChannel, upload: AbstractChannel
) -> None:
    exam_id, number = given.name(), given.name("A")
    named = [given.image(exam=exam_id) for _ in range(3)]
    numbered = [given.image(accession_number=number) for _ in range(3)]
    for data in named + numbered:
        await _publish(upload, given.event(data), "upload")
        await _waits(system, data, "exam-unknown" if data in named else "accession-unknown")
    await _publish(admin, _exam(exam_id, accession_number=number, principals=["user:alice"]), "admin")
    for data in named + numbered:
        await _registered_under(system, data, exam_id)
    query = "SELECT actor, action, outcome, correlation_id FROM audit_events WHERE exam_id = :id AND action = :act"
    told = await _fetch(system, query, id=exam_id, act="exam.upsert")
    assert told == [("admin", "exam.upsert", "created", "corr-his")]


async def test_late_early_and_doubled_versions_end_in_the_same_state(system: System, admin: AbstractChannel) -> None:
    exam_id = given.name()
    versions = [3, 1, 2, 9, 9, 4, 8]
    for version in versions:
        await _publish(admin, _exam(exam_id, version, principals=[f"user:u{version}"]), "admin")
    await _version_is(system, exam_id, 9)
    await _publish(admin, _exam(exam_id, 7, principals=["user:late"]), "admin")
    await _publish(admin, _exam(last := given.name()), "admin")
    await _version_is(system, last, 1)
    query = 'SELECT version, principals FROM examens_medicaux WHERE "examenID" = :id'
    assert await _fetch(system, query, id=exam_id) == [(9, ["user:u9"])]


async def test_who_gives_no_name_is_unknown(system: System, admin: AbstractChannel) -> None:
    exam_id = given.name()
    await _publish(admin, _exam(exam_id), None)
    await _version_is(system, exam_id, 1)
    assert await _fetch(system, "SELECT actor FROM audit_events WHERE exam_id = :id", id=exam_id) == [("unknown",)]


async def test_many_images_and_their_exams_at_once(
    system: System, admin: AbstractChannel, upload: AbstractChannel
) -> None:
    pairs = [(given.name(), given.image(accession_number=given.name("A"))) for _ in range(100)]
    sends: list[tuple[AbstractChannel, Event[Any], str]] = []
    for exam_id, data in pairs:
        exam = _exam(exam_id, accession_number=data.accession_number, principals=["user:alice"])
        sends += [(admin, exam, "admin"), (upload, given.event(data), "upload")]
    random.Random(4711).shuffle(sends)
    await asyncio.gather(*(_publish(*one) for one in sends))
    for exam_id, data in pairs:
        await _registered_under(system, data, exam_id)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"examenID": "images"}, "data.examenID"),
        ({"examenID": "a\u0007"}, "data.examenID"),
        ({"principals": ["alice"]}, "data.principals.0"),
        ({"version": "soon"}, "data.version"),
        ({"accessionNumber": 5}, "data.accessionNumber"),
    ],
)
async def test_what_is_no_exam_is_a_dead_letter_naming_the_field(
    admin: AbstractChannel, changed: dict[str, Any], field: str
) -> None:
    message_id = await _publish(admin, _exam(given.name()), "admin", **changed)
    [letter] = await dead_letters(admin, message_id)
    assert str(letter.headers["x-reason"]).startswith(f"{field}: ")
    assert (letter.headers["x-queue"], letter.headers["x-publisher"]) == ("registration.exam-upserted", "admin")


async def test_an_image_that_two_exams_claim_waits_until_one_gives_up(
    system: System, admin: AbstractChannel, upload: AbstractChannel
) -> None:
    first, second, number = given.name(), given.name(), given.name("A")
    for exam_id in (first, second):
        await _publish(admin, _exam(exam_id, accession_number=number, principals=["user:alice"]), "admin")
        await _version_is(system, exam_id, 1)
    data = given.image(accession_number=number)
    await _publish(upload, given.event(data), "upload")
    await _waits(system, data, "accession-ambiguous")
    await _publish(admin, _exam(first, 2, principals=["user:alice"]), "admin")
    await _registered_under(system, data, second)
