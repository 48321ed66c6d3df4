"""Dates at the edges of what PostgreSQL, Python and JSON can say: refused when they are read, or kept and answered."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from services.registration_service.by_http import HttpRegistrations
from services.registration_service.database import Database
from services.registration_service.schemas import ImageRecord
from tests.integration import given, rows

EDGES = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+12:00",
    "0001-01-01T00:00:00-12:00",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-12:00",
]


@pytest.mark.parametrize("date", EDGES)
async def test_by_http(database: Database, registrations: HttpRegistrations, date: str) -> None:
    exam = given.name()
    await given.open_exam(database, exam, "user:alice")
    try:
        wanted = given.asked(given.image(), exam, dateAcquisition=date, orthancInstanceId=None)
    except ValidationError:
        return
    registered = await registrations.register(given.ALICE, wanted)
    assert ImageRecord.of(registered.image).model_dump(mode="json")["dateAcquisition"].endswith("Z")


@pytest.mark.parametrize("date", EDGES)
async def test_by_event(database: Database, date: str) -> None:
    exam = given.name()
    await given.open_exam(database, exam, "user:alice")
    body = given.image(exam=exam).model_dump(mode="json", by_alias=True) | {"acquisitionDate": date}
    try:
        data = type(given.image()).model_validate(body)
    except ValidationError:
        return
    assert (await given.take(database, data)).state == "registered"


async def test_any_offset_becomes_utc(database: Database, registrations: HttpRegistrations) -> None:
    exam, data = given.name(), given.image()
    await given.open_exam(database, exam, "user:alice")
    wanted = given.asked(data, exam, dateAcquisition="1899-12-31T23:59:59.9999+05:45", orthancInstanceId=None)
    registered = await registrations.register(given.ALICE, wanted)
    assert ImageRecord.of(registered.image).model_dump(mode="json")["dateAcquisition"] == "1899-12-31T18:14:59.999Z"
    expected = datetime(1899, 12, 31, 23, 59, 59, 999900, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    assert (await rows.record(database, data)).acquired_at == expected.astimezone(UTC)
