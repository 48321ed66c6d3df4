"""Every text field of every door is held to the rule of shared/texts.py: a new one without it fails here."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from services.preview_service import app as preview
from services.preview_service.settings import Settings as PreviewSettings
from services.registration_service import app as registration
from services.registration_service.errors import Hopeless
from services.registration_service.reading import read_event
from services.registration_service.settings import Settings as RegistrationSettings
from services.upload_service import app as upload
from services.upload_service.settings import Settings as UploadSettings
from shared.events import CONTENT_TYPE, AuditRecord, DicomStored, Event, ExamUpserted
from tests.unit.hostile_texts import BREAKS, GOOD_NAMES, GOOD_PROSE, HARMFUL, UNSEEN
from tests.unit.keys import AUDIENCE, ISSUER, token, write_keys
from tests.unit.settings import DATABASE, NOWHERE, SHARED
from tests.unit.text_fields import TextField, put, refusal, schema_texts, text_fields
from tests.unit.wire_events import ON_THE_WIRE

# What may hold more than a name: free text of a person. Everything else is a name, an enumeration, a number or a date.
PROSE = {"description", "data.context.description"}
LINES = {"reason"}
EVERYTHING = "dicom:upload images:write images:read exams:write exams:all ops audit:read"


def services(tokens: dict[str, str]) -> dict[str, FastAPI]:
    shared: dict[str, Any] = {**SHARED, "tokens": tokens}
    registering = {**shared, "database": DATABASE, "internal_token": "secret"}
    asked = {"url": f"http://{NOWHERE}", "token": "secret"}
    looking = {**shared, "registration": asked, "rights": SHARED["broker"]}
    handlers, level = list(logging.root.handlers), logging.root.level
    made = {
        "upload": upload.create_app(UploadSettings(**shared)),
        "registration": registration.create_app(RegistrationSettings(**registering)),
        "preview": preview.create_app(PreviewSettings(**looking)),
    }
    logging.root.handlers, logging.root.level = handlers, level  # a service has its process for itself
    return made


FIELDS = [field for name, app in services(SHARED["tokens"]).items() for field in text_fields(name, app.openapi())]


class _Anywhere:
    """Keeps no records: no server runs here. tests/e2e/test_audit.py has the real trail."""

    async def record(self, record: AuditRecord, *, must: bool = True) -> None:
        assert must
        assert record.outcome == "refused"


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FastAPI]:
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    write_keys(path, "rsa")
    return services({"jwks": str(path), "issuer": ISSUER, "audience": AUDIENCE})


@pytest.fixture
async def client(apps: dict[str, FastAPI], field: TextField) -> AsyncIterator[AsyncClient]:
    headers = {"Authorization": f"Bearer {token(scope=EVERYTHING)}"}
    app = apps[field.service]
    app.state.auditor = _Anywhere()
    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        yield client


def unwanted(field: str, where: str = "body") -> dict[str, str]:
    """What a field may not hold. A header's bytes are read as Latin-1, where nothing is unseen."""
    if field in PROSE:
        return HARMFUL
    return {**HARMFUL, **BREAKS} if field in LINES or where == "header" else {**HARMFUL, **BREAKS, **UNSEEN}


def test_the_fields_are_found() -> None:
    """A walk that finds nothing proves nothing."""
    found = {f"{field.service} {field.where} {field.name}" for field in FIELDS}
    assert found >= {
        "upload form examenID",
        "upload form description",
        "registration body examenID",
        "registration body modalite",
        "registration body url",
        "registration body dateAcquisition",
        "registration body principals.0",
        "registration body ids.0",
        "registration body reason",
        "registration path examenID",
        "registration path id",
        "registration query cursor",
        "registration query cause",
        "preview path orthancInstanceId",
        "preview query contentType",
        "preview header accept",
    }


@pytest.mark.parametrize("field", FIELDS, ids=str)
async def test_harmful_text_is_refused_by_the_name_of_its_field(client: AsyncClient, field: TextField) -> None:
    for what, text in unwanted(field.name, field.where).items():
        status, errors = await refusal(client, field, text)
        assert status == 400, what
        assert field.name in errors, what


@pytest.mark.parametrize("field", [field for field in FIELDS if field.name in PROSE | LINES], ids=str)
async def test_people_may_write_in_their_language(client: AsyncClient, field: TextField) -> None:
    for text in GOOD_PROSE if field.name in PROSE else GOOD_NAMES:
        if text or field.name in PROSE:
            _, errors = await refusal(client, field, f"{text} because" if field.name in LINES else text)
            assert field.name not in errors, ascii(text)


@pytest.mark.parametrize("text", [*HARMFUL.values(), *BREAKS.values(), *UNSEEN.values()], ids=ascii)
@pytest.mark.parametrize("route", ["instances", "sop-instances"])
async def test_the_doors_between_services(apps: dict[str, FastAPI], route: str, text: str) -> None:
    """They stand in no OpenAPI document."""
    transport = ASGITransport(apps["registration"])
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        path = f"/internal/{route}/{quote(text, safe='')}"
        answer = await client.get(path, headers={"Authorization": "Bearer secret"})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-input")


def event_of(kind: type[DicomStored | ExamUpserted]) -> dict[str, Any]:
    [wire] = [wire for data, _, wire in ON_THE_WIRE if type(data) is kind]
    head = {
        "id": "1",
        "source": "/partner/ris",
        "subject": "i",
        "correlationid": "c",
        "datacontenttype": "application/json",
    }
    return {"specversion": "1.0", "type": kind.event_type, "time": "2026-01-01T00:00:00Z", **head, "data": wire}


EVENT_FIELDS = [
    (kind, name)
    for kind in (DicomStored, ExamUpserted)
    for name in schema_texts(Event[kind].model_json_schema(by_alias=True))  # type: ignore[valid-type]
]


@pytest.mark.parametrize(("kind", "name"), EVENT_FIELDS, ids=str)
def test_harmful_text_in_an_event_is_a_dead_letter_that_names_it(
    kind: type[DicomStored | ExamUpserted], name: str
) -> None:
    for what, text in unwanted(name).items():
        body = json.dumps(put(event_of(kind), name, text)).encode()
        with pytest.raises(Hopeless) as hopeless:
            read_event(body, CONTENT_TYPE, Event[kind], 1_000_000)  # type: ignore[valid-type]
        said = str(hopeless.value)
        assert said.startswith(f"{name}: "), what
        assert text not in said, what
        assert said.isascii(), what
        assert "pattern" not in said, what


@pytest.mark.parametrize("kind", [DicomStored, ExamUpserted])
def test_the_same_event_without_it_is_read(kind: type[DicomStored | ExamUpserted]) -> None:
    read_event(json.dumps(event_of(kind)).encode(), CONTENT_TYPE, Event[kind], 1_000_000)  # type: ignore[valid-type]
    if kind is DicomStored:
        for text in GOOD_PROSE:
            body = put(event_of(kind), "data.context.description", text)
            read = read_event(json.dumps(body).encode(), CONTENT_TYPE, Event[DicomStored], 1_000_000)
            assert read.data.context.description == text


def test_the_fields_of_events_are_found() -> None:
    found = {(kind.event_type, name) for kind, name in EVENT_FIELDS}
    stored = {"id", "source", "subject", "type", "correlationid", "data.sopInstanceUID", "data.modality"}
    stored |= {
        "data.accessionNumber",
        "data.origin.actor",
        "data.origin.groups.0",
        "data.origin.aet",
        "data.origin.remoteIP",
    }
    stored |= {"data.context.examenID", "data.context.description", "data.orthancInstanceId", "data.digest"}
    exam = {"data.examenID", "data.accessionNumber", "data.patientID", "data.principals.0"}
    assert found >= {("dicom.stored", name) for name in stored} | {("exam.upserted", name) for name in exam}
