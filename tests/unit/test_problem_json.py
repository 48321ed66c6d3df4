"""Every refusal leaves as a problem document (RFC 9457), in the caller's language, without what nobody should read."""

import re
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from shared import correlation, problem_json
from shared.errors import (
    DependencyAway,
    ExamUnknown,
    FieldError,
    InvalidInput,
    OrthancAway,
    Problem,
    ScopeMissing,
    Unauthenticated,
)

SECRET = "JANE^DOE"


class Body(BaseModel):
    sopInstanceUID: Annotated[str, Field(max_length=64, pattern=r"^[0-9.]+$")]
    description: Annotated[str, Field(max_length=10)] = ""


def make_app() -> FastAPI:
    app = FastAPI()
    problem_json.install(app)
    correlation.install(app)
    refusals: dict[str, Exception] = {
        "exam": ExamUnknown(),
        "orthanc": OrthancAway(),
        "token": Unauthenticated(why_en="There is none.", why_fr="Il n'y en a pas."),
        "scope": ScopeMissing(scope="images:read", ask_for="images:read"),
        "long": InvalidInput([FieldError("url", "is odd", "est étrange", "u" * 81), FieldError("b", "no", "non")]),
        "bug": RuntimeError(f"cannot read {SECRET}"),
        "base": DependencyAway(),
    }

    @app.get("/refused/{how}")
    async def refused(how: str) -> None:
        raise refusals[how]

    @app.get("/breaks-off")
    async def breaks_off() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"the beginning"
            raise RuntimeError("the rest is gone")

        return StreamingResponse(pieces())

    @app.get("/limited")
    async def limited(limit: Annotated[int, Query(ge=1, le=200)]) -> int:
        return limit

    @app.post("/body")
    async def body(body: Body) -> Body:
        return body

    @app.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_the_whole_document(client: httpx.AsyncClient) -> None:
    answer = await client.get("/refused/exam", headers={"X-Correlation-ID": "abc-1"})
    sentence = "There is no such exam for you; check the examenID, or have the exam opened first."
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-correlation-id"] == "abc-1"
    assert not {"retry-after", "www-authenticate"} & set(answer.headers)
    assert answer.json() == {
        "type": "/problems/exam-unknown",
        "title": "Exam unknown",
        "status": 404,
        "detail": sentence,
        "message": sentence,
        "correlationId": "abc-1",
    }


async def test_in_french(client: httpx.AsyncClient) -> None:
    answer = await client.get("/refused/exam", headers={"Accept-Language": "fr-FR,fr;q=0.9,en;q=0.8"})
    sentence = "Cet examen n'existe pas pour vous ; vérifiez l'examenID, ou faites d'abord ouvrir l'examen."
    assert answer.json()["message"] == answer.json()["detail"] == sentence


@pytest.mark.parametrize(
    ("path", "status", "header", "value"),
    [
        ("/refused/orthanc", 503, "Retry-After", "5"),
        ("/refused/base", 503, "Retry-After", "5"),
        ("/refused/token", 401, "WWW-Authenticate", "Bearer"),
        ("/refused/scope", 403, "WWW-Authenticate", 'Bearer error="insufficient_scope", scope="images:read"'),
    ],
)
async def test_headers(client: httpx.AsyncClient, path: str, status: int, header: str, value: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == status
    assert answer.headers[header] == value


async def test_each_field_with_its_value_cut_at_80_characters(client: httpx.AsyncClient) -> None:
    document = (await client.get("/refused/long", headers={"Accept-Language": "fr"})).json()
    assert document["errors"] == [
        {"field": "url", "problem": "est étrange", "value": "u" * 80},
        {"field": "b", "problem": "non"},
    ]
    assert document["message"] == "La requête n'est pas valide : url : est étrange ; b : non."


async def test_validation_is_a_400_and_names_the_field(client: httpx.AsyncClient) -> None:
    answer = await client.get("/limited", params={"limit": "201"})
    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/invalid-input"
    assert answer.json()["errors"] == [{"field": "limit", "problem": "must be at most 200", "value": "201"}]
    assert answer.json()["message"] == "The request does not fit: limit: must be at most 200."


async def test_a_value_that_may_be_about_a_patient_is_not_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.post("/body", json={"sopInstanceUID": "1.2", "description": f"{SECRET} aged 4"})
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"field": "description", "problem": "takes at most 10 characters"}]
    assert SECRET not in answer.text


async def test_several_fields_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.post("/body", json={"sopInstanceUID": "x" * 100, "description": 5})
    assert [error["field"] for error in answer.json()["errors"]] == ["sopInstanceUID", "description"]
    assert answer.json()["errors"][0]["value"] == "x" * 80


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"{", "body"),
        (b"", "body"),
        (b"[]", "body"),
        (b'"text"', "body"),
        (b"null", "body"),
        (b"{}", "sopInstanceUID"),
        (b'{"sopInstanceUID": null}', "sopInstanceUID"),
        (b'{"sopInstanceUID": NaN}', "sopInstanceUID"),
        (b'{"sopInstanceUID": "\\ud800"}', "sopInstanceUID"),
        (b'{"sopInstanceUID": "\\u0000"}', "sopInstanceUID"),
        (b'{"sopInstanceUID": {"a": 1}}', "sopInstanceUID"),
    ],
)
async def test_a_body_that_does_not_fit(client: httpx.AsyncClient, content: bytes, field: str) -> None:
    answer = await client.post("/body", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 200_000, b'{"sopInstanceUID": "\xe9"}'])
async def test_a_body_that_cannot_be_read(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/body", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["type"] in ("/problems/body-unreadable", "/problems/invalid-input")
    assert answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "route-unknown"),
        ("DELETE", "/limited", 405, "method-not-allowed"),
        ("HEAD", "/nowhere", 404, None),
    ],
)
async def test_what_routing_refuses(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str | None
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert code is None or answer.json()["type"] == f"/problems/{code}"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get("allow") == ("GET" if status == 405 else None)


async def test_what_nobody_foresaw_is_a_500_without_details(client: httpx.AsyncClient) -> None:
    answer = await client.get("/refused/bug", headers={"X-Correlation-ID": "abc-2"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-correlation-id"] == "abc-2"
    assert answer.json()["type"] == "/problems/internal-error"
    assert answer.json()["correlationId"] == "abc-2"
    assert SECRET not in answer.text
    assert "RuntimeError" not in answer.text


async def test_what_fails_behind_its_beginning_breaks_off() -> None:
    transport = httpx.ASGITransport(make_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(RuntimeError, match="the rest is gone"):
            await client.get("/breaks-off")


@pytest.mark.parametrize("kind", [Problem, *Problem.__subclasses__(), *DependencyAway.__subclasses__()])
def test_every_refusal_has_its_members(kind: type[Problem]) -> None:
    assert kind.code == kind.code.lower()
    assert 400 <= kind.status < 600
    assert kind.title
    assert kind in (Problem, DependencyAway) or {"en", "fr"} <= set(vars(kind))  # a sentence of its own
    assert kind.en.rstrip().endswith(".")
    assert kind.fr.rstrip().endswith(".")
    assert (kind.status == 503) == (kind.retry_after is not None)


def test_the_sentences_take_the_same_facts_in_both_languages() -> None:
    def facts(text: str) -> set[str]:
        return {re.sub("_(en|fr)$", "", name) for name in re.findall(r"{(\w+)}", text)}

    def all_of(kind: type[Problem]) -> list[type[Problem]]:
        return [kind, *(each for below in kind.__subclasses__() for each in all_of(below))]

    assert {kind.__name__: facts(kind.en) for kind in all_of(Problem)} == {
        kind.__name__: facts(kind.fr) for kind in all_of(Problem)
    }
