"""A real nginx with the cache of docs/cdn.md: it has a picture once for all, asks in time, and shows no ended one.

What it may show without asking is two seconds here, and what preview remembers five. A limit that is promised is
asserted at three times it.
"""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from services.preview_service.pictures import DEFAULT
from services.preview_service.settings import SignedSettings
from services.preview_service.signed import Signer
from tests.dicom_files import fresh
from tests.integration import cdn, given
from tests.integration.faulty import Faulty
from tests.running import eventually, registered, upload

SHARED_SECONDS, HEARD_SECONDS, ROUNDED_SECONDS = 2.0, 2.0, 1.0
REMEMBERED_SECONDS = 5.0
MARGIN = 3
STATUS = "x-cache-status"
SETTINGS = {
    "EXAMFLOW_SIGNED__SHARED_SECONDS": f"{SHARED_SECONDS:g}",
    "EXAMFLOW_REGISTRATION__REMEMBERED_SECONDS": f"{REMEMBERED_SECONDS:g}",
}


@pytest.fixture(scope="module")
def viewer(whole: Faulty, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """At the CDN, without a token."""
    gateway = whole.running.env["EXAMFLOW_URL"].removeprefix("http://")
    with cdn.standing_before(gateway, tmp_path_factory.mktemp("cdn")) as client:
        yield client


@pytest.fixture
def exam(broken: Faulty) -> str:
    name = given.name()
    broken.running.open_exam(name, "user:alice", "user:bob")
    return name


@pytest.fixture
def image(broken: Faulty, exam: str) -> str:
    alice = broken.running.client("alice")
    orthanc_id: str = upload(alice, fresh("CT_small.dcm"), examenID=exam).json()["data"]["ID"]
    registered(alice, orthanc_id)
    return orthanc_id


def share(broken: Faulty, image: str, sub: str = "alice", **wanted: Any) -> httpx.Response:
    return broken.running.client(sub).post(f"/dicom/instances/{image}/preview-url", json=wanted)


def url_of(broken: Faulty, image: str, sub: str = "alice") -> str:
    url: str = share(broken, image, sub).json()["url"]
    return url


def came(broken: Faulty, outcome: str) -> float:
    """How many requests for signed URLs have reached the preview service."""
    lines = httpx.get(broken.system.service_url("preview") + "/metrics", trust_env=False).text.splitlines()
    name = f'examflow_signed_requests_total{{outcome="{outcome}"}} '
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def expired(viewer: httpx.Client, url: str) -> httpx.Response:
    """The first answer for which the CDN had to ask about what it has."""

    def ask() -> httpx.Response | None:
        answer = viewer.get(url)
        return None if answer.headers[STATUS] == "HIT" else answer

    return eventually(ask, MARGIN * (SHARED_SECONDS + ROUNDED_SECONDS), "its asking")


def test_two_viewers_cost_one_fetch(broken: Faulty, viewer: httpx.Client, image: str) -> None:
    before = came(broken, "shown")
    urls = {url_of(broken, image, sub) for sub in ("alice", "bob")}
    if len(urls) > 1:  # a window ended between the two
        urls = {url_of(broken, image, sub) for sub in ("alice", "bob")}
    [url] = urls
    found = [viewer.get(url) for _ in range(2)]
    assert [answer.headers[STATUS] for answer in found] == ["MISS", "HIT"]
    preview = broken.running.client("bob").get(f"/dicom/instances/{image}/preview")
    for answer in found:
        assert (answer.status_code, answer.content) == (200, preview.content)
        assert answer.headers["etag"] == preview.headers["etag"]
        assert "x-correlation-id" not in answer.headers
    browser = viewer.get(url, headers={"If-None-Match": preview.headers["etag"]})
    assert (browser.status_code, browser.content) == (304, b"")
    assert came(broken, "shown") == before + 1


def test_it_asks_in_time_and_is_sent_no_bytes_again(broken: Faulty, viewer: httpx.Client, image: str) -> None:
    url = url_of(broken, image)
    first = viewer.get(url)
    shown, unchanged = came(broken, "shown"), came(broken, "unchanged")
    for number in (1, 2):
        again = expired(viewer, url)
        assert (again.status_code, again.headers[STATUS], again.content) == (200, "REVALIDATED", first.content)
        assert (came(broken, "shown"), came(broken, "unchanged")) == (shown, unchanged + number)
        assert viewer.get(url).headers[STATUS] == "HIT"


def test_a_change_of_rights_reaches_it(broken: Faulty, viewer: httpx.Client, exam: str, image: str) -> None:
    url = url_of(broken, image)
    assert viewer.get(url).status_code == viewer.get(url).status_code == 200
    broken.running.open_exam(exam, "user:bob")
    within = MARGIN * (SHARED_SECONDS + HEARD_SECONDS + ROUNDED_SECONDS)
    eventually(lambda: viewer.get(url).status_code != 200, within, "its end")
    for _ in range(3):
        ended = viewer.get(url)
        assert (ended.status_code, ended.json()["type"]) == (410, "/problems/url-expired")
        assert ended.headers.get_list("cache-control") == ["no-store"]
    assert share(broken, image, "alice").status_code == 404
    assert viewer.get(url_of(broken, image, "bob")).status_code == 200


def test_while_the_broker_is_away_it_takes_what_is_remembered_longer(
    broken: Faulty, viewer: httpx.Client, exam: str, image: str
) -> None:
    url = url_of(broken, image)
    broken.stop("rabbitmq")
    assert viewer.get(url).status_code == 200
    broken.running.open_exam(exam, "user:bob")
    within = MARGIN * (SHARED_SECONDS + REMEMBERED_SECONDS + ROUNDED_SECONDS)
    eventually(lambda: viewer.get(url).status_code != 200, within, "its end")
    assert viewer.get(url).status_code == 410


def test_it_keeps_nothing_beyond_the_urls_end(broken: Faulty, viewer: httpx.Client, exam: str, image: str) -> None:
    """One that ends in two to four seconds; the secret is the system's own. It is looked at all the time."""
    secrets = broken.system.secrets
    headers = {"Authorization": f"Bearer {secrets.internal_token}"}
    asked = f"{broken.system.service_url('registration')}/internal/instances/{image}"
    epoch = httpx.get(asked, headers=headers, trust_env=False).json()["epoch"]
    settings = SignedSettings.model_validate({"secret": secrets.signed_url_secret, "window_seconds": 2})
    url, expires = Signer(settings).url(image, DEFAULT, exam, epoch)
    assert viewer.get(url).status_code == 200
    shown_last = time.time()
    while time.time() < expires + 3 * SHARED_SECONDS:
        asked_at = time.time()
        if viewer.get(url).status_code == 200:
            shown_last = asked_at
        time.sleep(0.05)
    assert shown_last < expires + ROUNDED_SECONDS
    assert viewer.get(url).status_code == 410


def test_what_cannot_be_asked_about_is_not_shown(broken: Faulty, viewer: httpx.Client, image: str) -> None:
    url = url_of(broken, image)
    assert viewer.get(url).status_code == 200
    broken.stop("preview")
    away = expired(viewer, url)
    assert (away.status_code, away.json()["type"]) == (503, "/problems/unavailable")
    broken.start("preview")
    broken.becomes_ready()
    assert viewer.get(url).status_code == 200


def test_no_refusal_is_kept(broken: Faulty, viewer: httpx.Client, image: str) -> None:
    url = url_of(broken, image)
    for refused, outcome in ((url.replace(".90.", ".91."), "forged"), (url + "?again=1", "forged")):
        before = came(broken, outcome)
        answers = [viewer.get(refused) for _ in range(3)]
        assert [(answer.status_code, answer.headers[STATUS]) for answer in answers] == [(404, "MISS")] * 3
        assert came(broken, outcome) == before + 3
    assert viewer.get(url).status_code == 200
