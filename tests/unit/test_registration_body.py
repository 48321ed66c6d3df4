"""What the registration service takes as JSON: field by field, what fits and what does not."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from services.registration_service.schemas import ExamToUpsert, ImageToRegister
from shared.timestamps import to_wire

BODY: dict[str, Any] = {
    "examenID": "EX-1",
    "studyInstanceUID": "1.2.3",
    "seriesInstanceUID": "1.2.3.4",
    "sopInstanceUID": "1.2.3.4.5",
    "dateAcquisition": "1996-03-08T01:30:00.250+01:00",
    "modalite": "CT",
    "description": "Thorax",
}


def wrong(**fields: Any) -> list[str]:
    """The names of the fields that do not fit, where these stand instead of the sound ones."""
    try:
        ImageToRegister.model_validate({**BODY, **fields})
    except ValidationError as error:
        return [str(item["loc"][0]) for item in error.errors()]
    return []


def test_a_whole_body() -> None:
    asked = ImageToRegister.model_validate({**BODY, "future": {"deep": 1}})
    assert asked.dateAcquisition == datetime(1996, 3, 8, 0, 30, 0, 250_000, tzinfo=UTC)
    assert (asked.url, asked.orthancInstanceId) == (None, None)


@pytest.mark.parametrize("name", sorted(BODY))
def test_each_field_is_asked_for(name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ImageToRegister.model_validate({key: value for key, value in BODY.items() if key != name})
    assert [(item["loc"], item["type"]) for item in refused.value.errors()] == [((name,), "missing")]


@pytest.mark.parametrize(
    "fields",
    [
        {"description": ""},
        {"description": "d" * 4000},
        {"description": "Ligne 1\nLigne 2\t€ 𝄞"},
        {"modalite": None, "dateAcquisition": None},
        {"examenID": "E" * 36},
        {"examenID": "Ex 4711-é"},
        {"sopInstanceUID": "1" * 64},
        {"url": "u" * 500, "orthancInstanceId": "0" * 8 + "-abc"},
    ],
)
def test_what_fits(fields: dict[str, Any]) -> None:
    assert wrong(**fields) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("examenID", ""),
        ("examenID", "E" * 37),
        ("examenID", "a/b"),
        ("examenID", "a\nb"),
        ("examenID", "a\0"),
        ("examenID", 5),
        ("examenID", None),
        ("studyInstanceUID", ""),
        ("studyInstanceUID", "1..2"),
        ("seriesInstanceUID", "1.2."),
        ("seriesInstanceUID", "1.2\n"),
        ("sopInstanceUID", "1" * 65),
        ("sopInstanceUID", "1.2 "),
        ("sopInstanceUID", "١.٢"),
        ("dateAcquisition", "1996-03-08T00:00:00"),
        ("dateAcquisition", "1996-03-08"),
        ("dateAcquisition", "08/03/1996"),
        ("dateAcquisition", "19960308"),
        ("dateAcquisition", "19960308120000"),
        ("dateAcquisition", ""),
        ("dateAcquisition", "1996-02-30T00:00:00Z"),
        ("dateAcquisition", True),
        ("dateAcquisition", "0001-01-01T00:00:00+01:00"),
        ("dateAcquisition", "1000-01-01T00:00:00+01:00"),
        ("dateAcquisition", "9999-12-31T23:59:59-01:00"),
        ("modalite", ""),
        ("modalite", "M" * 51),
        ("modalite", "C\0T"),
        ("description", None),
        ("description", "d" * 4001),
        ("description", "a\0b"),
        ("description", "\ud800"),
        ("url", "u" * 501),
        ("orthancInstanceId", ""),
        ("orthancInstanceId", "../changes"),
        ("orthancInstanceId", "0" * 256),
    ],
)
def test_what_does_not_fit(name: str, value: Any) -> None:
    assert wrong(**{name: value}) == [name]


@pytest.mark.parametrize(
    ("date", "wire"),
    [
        ("1996-03-08T01:30:00+01:00", "1996-03-08T00:30:00.000Z"),
        ("1996-03-08T00:00:00.1239999Z", "1996-03-08T00:00:00.123Z"),
        ("1000-01-01T00:00:00Z", "1000-01-01T00:00:00.000Z"),
        ("9999-12-31T00:30:00+01:00", "9999-12-30T23:30:00.000Z"),
    ],
)
def test_dates_go_out_in_utc_with_milliseconds(date: str, wire: str) -> None:
    taken = ImageToRegister.model_validate({**BODY, "dateAcquisition": date}).dateAcquisition
    assert taken is not None
    assert to_wire(taken) == wire


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("principals", ["user:alice", "group:ward 3", "user:a:b@c"]),
        ("principals", []),
        ("version", 0),
        ("version", 2**63 - 1),
        ("accessionNumber", None),
        ("patientID", "P" * 64),
    ],
)
def test_an_exam_that_fits(name: str, value: Any) -> None:
    assert getattr(ExamToUpsert.model_validate({name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("principals", ["alice"]),
        ("principals", ["user:"]),
        ("principals", ["role:x"]),
        ("principals", ["user:a\0"]),
        ("principals", ["User:alice"]),
        ("principals", "user:alice"),
        ("principals", ["user:a"] * 1001),
        ("version", -1),
        ("version", 2**63),
        ("version", "5"),
        ("version", 1.5),
        ("version", True),
        ("accessionNumber", ""),
        ("accessionNumber", " "),
        ("accessionNumber", " A-1"),
        ("accessionNumber", "A" * 65),
        ("accessionNumber", "A\n"),
        ("patientID", "P\0"),
    ],
)
def test_an_exam_that_does_not_fit(name: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        ExamToUpsert.model_validate({name: value})


def test_an_exam_may_be_empty() -> None:
    empty = ExamToUpsert.model_validate({})
    assert (empty.accessionNumber, empty.patientID, empty.principals, empty.version) == (None, None, [], None)
