"""Every route says what it is to the audit trail, and what is recorded of which ending."""

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from httpx import ASGITransport, AsyncClient

from services.preview_service.errors import UrlForged
from shared import problem_json
from shared.audited_route import AuditedRoute, audited, audited_as, concerns
from shared.errors import AuditAway, ExamUnknown, OrthancAway, ScopeMissing, Unauthenticated
from shared.events import AuditRecord
from tests.unit.test_apps import MAKERS

FREE = ("/health", "/metrics", "/docs", "/redoc", "/openapi.json", "/static-offline-docs")


@pytest.mark.parametrize("service", sorted(MAKERS))
def test_every_route_is_audited_or_shows_nothing(service: str) -> None:
    routes = [route for route in _routes(MAKERS[service]()) if not route.path.startswith(FREE)]
    assert routes or service == "reconciler"
    assert [route.path for route in routes if not audited_as(route.endpoint)] == []
    assert [route.path for route in routes if not isinstance(route, AuditedRoute)] == []


def _routes(app: FastAPI) -> list[APIRoute]:
    found: list[APIRoute] = []
    left: list[Any] = list(app.routes)
    while left:
        route = left.pop()
        if isinstance(route, APIRoute):
            found.append(route)
        left.extend(getattr(getattr(route, "original_router", None), "routes", []))
    return found


class Kept:
    def __init__(self) -> None:
        self.records: list[AuditRecord] = []
        self.away = False

    async def record(self, record: AuditRecord, *, must: bool = True) -> None:
        if self.away and must:
            raise AuditAway
        self.records.append(record)


router = APIRouter(route_class=AuditedRoute)
ENDINGS: dict[str, Exception | None] = {
    "anyone": UrlForged(),
    "fine": None,
    "unknown": ExamUnknown(),
    "hidden": ExamUnknown().hiding("EX-1", "1.2.3"),
    "scope": ScopeMissing(scope="x", ask_for="x"),
    "stranger": Unauthenticated(why_en="No.", why_fr="Non."),
    "away": OrthancAway(),
}


def _end(examenID: str) -> Response:  # noqa: N803  # a path parameter of the contract
    if error := ENDINGS[examenID]:
        raise error
    return Response()


@router.get("/plain/{examenID}")
@audited("plain")
async def plain(examenID: str) -> Response:  # noqa: N803
    return _end(examenID)


@router.get("/itself/{examenID}")
@audited("itself", by_itself=True)
async def itself(examenID: str) -> Response:  # noqa: N803
    return _end(examenID)


@router.get("/often/{examenID}")
@audited("often", denied_only=True)
async def often(examenID: str) -> Response:  # noqa: N803
    return _end(examenID)


@router.get("/way/{examenID}")
@audited("plain", way="signed")
async def by_a_way(examenID: str) -> Response:  # noqa: N803
    return _end(examenID)


@router.get("/image")
@audited("image.view")
async def image(request: Request, status: int = 200) -> Response:
    concerns(request, exam="EX-9", subject="1.2.9", action="image.download" if status == 200 else None)
    return Response(status_code=status)


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    problem_json.install(app)
    app.include_router(router)
    app.state.auditor = Kept()
    return app


async def _get(app: FastAPI, path: str) -> int:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        return (await client.get(path)).status_code


@pytest.mark.parametrize(
    ("kind", "recorded"),
    [
        ("plain", {"fine": "done", "unknown": "unknown", "hidden": "denied", "scope": "denied", "away": "failed"}),
        ("itself", {"fine": None, "unknown": "unknown", "hidden": "denied", "scope": "denied", "away": "failed"}),
        ("often", {"fine": None, "unknown": None, "hidden": "denied", "scope": "denied", "stranger": "denied"}),
    ],
)
async def test_what_is_recorded_of_which_ending(app: FastAPI, kind: str, recorded: dict[str, str | None]) -> None:
    for ending, outcome in recorded.items():
        kept = app.state.auditor = Kept()
        await _get(app, f"/{kind}/{ending}")
        assert [record.outcome for record in kept.records] == ([outcome] if outcome else []), ending


async def test_what_is_hidden_is_told_to_the_trail_alone(app: FastAPI) -> None:
    await _get(app, "/plain/hidden")
    [record] = app.state.auditor.records
    assert (record.examen_id, record.subject, record.reason) == ("EX-1", "1.2.3", "exam-unknown")


async def test_what_a_request_turned_out_to_be(app: FastAPI) -> None:
    await _get(app, "/image")
    await _get(app, "/image?status=304")
    told = [(one.action, one.outcome, one.examen_id, one.subject) for one in app.state.auditor.records]
    assert told == [("image.download", "done", "EX-9", "1.2.9"), ("image.view", "unchanged", "EX-9", "1.2.9")]


async def test_nothing_is_answered_that_could_not_be_recorded(app: FastAPI) -> None:
    app.state.auditor.away = True
    assert await _get(app, "/plain/fine") == 503
    assert await _get(app, "/plain/hidden") == 503
    assert await _get(app, "/often/fine") == 200
    assert await _get(app, "/plain/stranger") == 401
    assert await _get(app, "/way/anyone") == 404  # what everybody can cause waits for no record


@pytest.mark.parametrize(
    ("ending", "reason"), [("fine", "signed"), ("hidden", "signed: exam-unknown"), ("away", "signed: orthanc-away")]
)
async def test_the_way_that_somebody_came_in_is_on_record(app: FastAPI, ending: str, reason: str) -> None:
    await _get(app, f"/way/{ending}")
    [record] = app.state.auditor.records
    assert (record.actor, record.reason) == (None, reason)
