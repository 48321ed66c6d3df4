"""The events on the wire, field by field as the contract names them."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from shared.events import CONTENT_TYPE, Context, DicomStored, Event, EventData, ExamUpserted, Origin, wire_name
from tests.unit.wire_events import ON_THE_WIRE

TYPES = [kind for _, kind, _ in ON_THE_WIRE]


def event_of(data: EventData) -> Event[Any]:
    return Event[Any].about(data, source="/examflow/test", subject="i", correlation_id="abc")


@pytest.mark.parametrize(("data", "kind", "wire"), ON_THE_WIRE, ids=TYPES)
def test_an_event_on_the_wire(data: EventData, kind: str, wire: dict[str, Any]) -> None:
    sent = json.loads(event_of(data).model_dump_json(by_alias=True))
    assert uuid.UUID(sent.pop("id")).version == 7
    moment = sent.pop("time")
    assert moment.endswith("Z")
    assert abs(datetime.fromisoformat(moment) - datetime.now(UTC)) < timedelta(seconds=10)
    assert sent == {
        "specversion": "1.0",
        "source": "/examflow/test",
        "type": kind,
        "subject": "i",
        "datacontenttype": "application/json",
        "correlationid": "abc",
        "data": wire,
    }


@pytest.mark.parametrize(("data", "kind", "wire"), ON_THE_WIRE, ids=TYPES)
def test_what_was_sent_is_read_as_it_was(data: EventData, kind: str, wire: dict[str, Any]) -> None:
    event = event_of(data)
    read = Event[type(data)].model_validate_json(event.model_dump_json(by_alias=True))  # type: ignore[misc]
    assert read.data == data
    assert (read.id, read.type, read.correlationid) == (event.id, kind, "abc")
    assert type(data).model_validate(wire) == data


def test_all_types_are_pinned_here() -> None:
    assert {data.event_type for data in EventData.__subclasses__()} == set(TYPES)


@pytest.mark.parametrize(("data", "kind", "wire"), ON_THE_WIRE, ids=TYPES)
def test_unknown_fields_are_ignored(data: EventData, kind: str, wire: dict[str, Any]) -> None:
    later: dict[str, Any] = {
        "specversion": "1.0",
        "id": "1",
        "source": "/partner/ris",
        "type": kind,
        "subject": "i",
        "future": [1],
    }
    read = Event[type(data)].model_validate({**later, "data": {**wire, "future": {"deep": 1}}})  # type: ignore[misc]
    assert read.data == data
    assert "future" not in read.model_dump_json(by_alias=True)


@pytest.mark.parametrize("data", [data for data, _, _ in ON_THE_WIRE], ids=TYPES)
def test_an_event_never_changes(data: EventData) -> None:
    event = event_of(data)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(event, "id", "another")  # noqa: B010  # as code without types would
    field = next(iter(type(data).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(data, field, "another")


def test_the_least_that_a_stored_image_says() -> None:
    least = {
        "orthancInstanceId": "i",
        "orthancSeriesId": "",
        "orthancStudyId": "",
        "orthancPatientId": "",
        "studyInstanceUID": "1.2",
        "seriesInstanceUID": "1.3",
        "sopInstanceUID": "1.4",
        "size": 0,
        "digest": "0" * 32,
        "origin": {"kind": "partner"},
    }
    read = DicomStored.model_validate(least)
    assert read.context == Context(examen_id=None, description="")
    assert read.origin == Origin(kind="partner", actor=None, groups=[], all_exams=False, aet=None, remote_ip=None)
    assert (read.modality, read.acquisition_date, read.accession_number, read.sop_class_uid) == (None,) * 4
    for name in set(least) - {"origin"}:
        with pytest.raises(ValidationError):
            DicomStored.model_validate({key: value for key, value in least.items() if key != name})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("digest", "0" * 31),
        ("digest", "A" * 32),
        ("size", -1),
        ("sopInstanceUID", "1" * 65),
        ("sopInstanceUID", ""),
        ("acquisitionDate", "1996-03-08T00:00:00"),
        ("modality", "M" * 51),
        ("accessionNumber", "A" * 65),
        ("origin", {"kind": "someone"}),
        ("context", {"examenID": "E" * 37}),
    ],
)
def test_a_stored_image_that_makes_no_sense(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        DicomStored.model_validate({**ON_THE_WIRE[0][2], field: value})


@pytest.mark.parametrize(
    ("model", "field", "least", "most"),
    [
        (DicomStored, "orthancInstanceId", 1, 255),
        (DicomStored, "orthancSeriesId", 0, 255),
        (DicomStored, "orthancStudyId", 0, 255),
        (DicomStored, "orthancPatientId", 0, 255),
        (DicomStored, "studyInstanceUID", 1, 64),
        (DicomStored, "seriesInstanceUID", 1, 64),
        (DicomStored, "sopInstanceUID", 1, 64),
        (DicomStored, "sopClassUID", 0, 64),
        (DicomStored, "accessionNumber", 0, 64),
        (DicomStored, "modality", 0, 50),
        (ExamUpserted, "examenID", 1, 36),
        (ExamUpserted, "accessionNumber", 1, 64),
        (ExamUpserted, "patientID", 1, 64),
    ],
)
def test_texts_are_no_longer_than_the_database_holds(model: type[EventData], field: str, least: int, most: int) -> None:
    [wire] = [wire for data, _, wire in ON_THE_WIRE if type(data) is model]
    for length in (least, most):
        assert model.model_validate({**wire, field: "1" * length})
    for length in (least - 1, most + 1):
        with pytest.raises(ValidationError):
            model.model_validate({**wire, field: "1" * length if length >= 0 else 5})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("examenID", "images"),
        ("examenID", "a/b"),
        ("examenID", "a\nb"),
        ("accessionNumber", " A"),
        ("patientID", "\x00"),
        ("principals", ["alice"]),
        ("principals", ["user:"]),
        ("principals", ["user:a"] * 1001),
    ],
)
def test_an_exam_by_event_is_held_to_the_rules_of_one_by_http(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        ExamUpserted.model_validate({"examenID": "EX-1", "version": 1, field: value})


@pytest.mark.parametrize("version", [-1, 2**63, 1.5, None])
def test_an_exams_version_is_what_the_database_can_hold(version: object) -> None:
    with pytest.raises(ValidationError):
        ExamUpserted.model_validate({"examenID": "EX-1", "version": version})


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("sop_instance_uid", "sopInstanceUID"),
        ("orthanc_patient_id", "orthancPatientId"),
        ("patient_id", "patientID"),
        ("remote_ip", "remoteIP"),
        ("aet", "aet"),
        ("size", "size"),
    ],
)
def test_how_fields_are_spelled(field: str, name: str) -> None:
    assert wire_name(field) == name


def test_the_content_type() -> None:
    assert CONTENT_TYPE == "application/cloudevents+json"
