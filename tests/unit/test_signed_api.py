"""What the route of signed URLs tells caches, and that rights are judged anew behind a slow render."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response
from prometheus_client import REGISTRY

from services.preview_service import signed_api
from services.preview_service.access import Instance
from services.preview_service.errors import UrlOvertaken
from services.preview_service.pictures import DEFAULT
from services.preview_service.remembered import Known
from services.preview_service.settings import Settings
from services.preview_service.signed import Signer
from services.preview_service.view import Picture, View
from shared import problem_json
from shared.events import AuditRecord
from tests.unit.test_apps import PREVIEW

SIGNED = {"secret": "0f1e2d3c4b5a69788796", "shared_seconds": 30}
KNOWN = {
    "orthancInstanceId": "i-1",
    "studyInstanceUID": "1",
    "seriesInstanceUID": "1.1",
    "sopInstanceUID": "1.2",
    "state": "registered",
    "examenID": "EX-1",
    "principals": [],
    "uploaders": [],
    "digest": "d" * 32,
    "modality": "CT",
}


class Here:
    """Registration, Orthanc and the clock in one: a picture takes `seconds`, and then the epoch is `epoch_after`."""

    def __init__(self) -> None:
        self.now = 1_000_000_000.0
        self.epoch = self.epoch_after = 1
        self.seconds = 0.0
        self.judged = self.shown = 0
        self.records: list[tuple[AuditRecord, bool]] = []

    async def signed(self, orthanc_id: str, holds: Callable[[Known], bool]) -> Instance:
        self.judged += 1
        if not holds(Known.model_validate(KNOWN | {"epoch": self.epoch})):
            raise UrlOvertaken
        return Instance(orthanc_id, "1", "1.1", "1.2", "d" * 32, "CT", "EX-1", self.epoch)

    async def show(self, _instance: Instance, _view: View) -> tuple[Picture, str]:
        self.shown += 1
        self.now += self.seconds
        self.epoch = self.epoch_after
        return Picture(b"picture", self.now - 86400), "hit"

    async def record(self, record: AuditRecord, *, must: bool = True) -> None:
        self.records.append((record, must))


@pytest.fixture
def here() -> Here:
    return Here()


@pytest.fixture
async def get(here: Here) -> AsyncIterator[Callable[..., Awaitable[Response]]]:
    app = FastAPI()
    problem_json.install(app)
    app.include_router(signed_api.router)
    app.state.settings = Settings.model_validate({**PREVIEW, "signed": SIGNED})
    app.state.signer = Signer(app.state.settings.signed, lambda: here.now)
    app.state.access = app.state.pictures = app.state.auditor = here
    url, expires = app.state.signer.url("i-1", DEFAULT, "EX-1", 1)

    async def ask(ends_in: float = 400, more: str = "", **headers: str) -> Response:
        here.now = expires - ends_in
        return await client.get(url + more, headers=headers)

    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield ask


Get = Callable[..., Awaitable[Response]]


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("examflow_signed_requests_total", {"outcome": outcome}) or 0.0


@pytest.mark.parametrize(("ends_in", "seconds"), [(400, 30), (30.5, 30), (29.9, 29), (1.0, 1)])
async def test_a_shared_cache_may_keep_it_for_no_longer_than_it_holds(get: Get, ends_in: float, seconds: int) -> None:
    shown = await get(ends_in)
    told = f"public, max-age=0, s-maxage={seconds}, must-revalidate"
    assert (shown.status_code, shown.content, shown.headers["cache-control"]) == (200, b"picture", told)
    same = await get(ends_in, **{"If-None-Match": shown.headers["etag"]})
    assert (same.status_code, same.content, same.headers["cache-control"]) == (304, b"", told)
    for answer in (shown, same):
        assert not {"age", "vary", "expires"} & set(answer.headers)


async def test_a_picture_that_was_made_at_once_is_judged_once(get: Get, here: Here) -> None:
    assert ((await get()).status_code, here.judged) == (200, 1)


async def test_behind_a_slow_render_the_rights_of_now_count(get: Get, here: Here) -> None:
    here.seconds = 20
    assert ((await get()).status_code, here.judged) == (200, 2)
    here.epoch_after = 2
    late = await get()
    assert (late.status_code, late.json()["type"]) == (410, "/problems/url-expired")
    here.epoch = here.epoch_after = 1
    assert (await get(ends_in=15)).status_code == 410


@pytest.mark.parametrize(
    ("epoch", "ends_in", "more", "status", "outcome"),
    [
        (1, 400, "", 200, "shown"),
        (2, 400, "", 410, "overtaken"),
        (1, 0.5, "", 410, "expired"),
        (1, 400, "x", 404, "forged"),
        (1, 400, "?t=1", 404, "forged"),
        (1, 0.5, "?", 410, "expired"),
    ],
)
async def test_each_outcome_is_counted_and_no_refusal_is_kept(
    get: Get, here: Here, epoch: int, ends_in: float, more: str, status: int, outcome: str
) -> None:
    here.epoch = here.epoch_after = epoch
    before = counted(outcome)
    answer = await get(ends_in, more)
    assert (answer.status_code, counted(outcome) - before) == (status, 1)
    assert status == 200 or answer.headers["cache-control"] == "no-store"
    assert here.shown == (status == 200)
    assert here.judged == (outcome in ("shown", "overtaken"))  # registration is not troubled by what is none
    [(record, must)] = here.records
    assert (record.action, record.actor, must) == ("image.view", None, outcome in ("shown", "overtaken"))
    assert (record.reason or "").startswith("signed")
