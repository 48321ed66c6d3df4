"""Signed URLs through the gateway: a key to one picture for minutes, ended by a change of rights."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests import dicom_files
from tests.integration import given
from tests.running import Running, eventually, registered, upload

HEARD_SECONDS, MARGIN = 2.0, 3  # a limit that is promised is asserted at three times it
CACHED = re.compile(r"public, max-age=0, s-maxage=(\d+), must-revalidate")


@pytest.fixture(scope="module")
def exam(running: Running) -> str:
    name = given.name()
    running.open_exam(name, "user:alice", "user:bob")
    return name


@pytest.fixture(scope="module")
def image(running: Running, exam: str) -> str:
    return stored(running, exam)


@pytest.fixture(scope="module")
def nobody(running: Running) -> httpx.Client:
    """Who has no token."""
    return running.at("EXAMFLOW_URL")


def stored(running: Running, exam: str | None) -> str:
    fields = {"examenID": exam} if exam else {}
    orthanc_id: str = upload(running.client(), dicom_files.fresh("CT_small.dcm"), **fields).json()["data"]["ID"]
    registered(running.client(), orthanc_id, "registered" if exam else "waiting")
    return orthanc_id


def share(running: Running, image: str, sub: str = "alice", **wanted: Any) -> httpx.Response:
    return running.client(sub).post(f"/dicom/instances/{image}/preview-url", json=wanted)


def url_of(running: Running, image: str, sub: str = "alice", **wanted: Any) -> str:
    answer = share(running, image, sub, **wanted)
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["url"]
    return url


def problem(answer: httpx.Response) -> tuple[int, str, list[str]]:
    return answer.status_code, answer.json()["type"], answer.headers.get_list("cache-control")


ENDED = (410, "/problems/url-expired", ["no-store"])
UNKNOWN = (404, "/problems/instance-unknown", ["no-store"])


def test_it_is_given_out_and_shows_the_preview(running: Running, image: str, nobody: httpx.Client) -> None:
    given_out = share(running, image)
    assert (given_out.status_code, given_out.headers.get_list("cache-control")) == (200, ["no-store"])
    assert set(given_out.json()) == {"url", "expiresAt"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d[05]:00\.000Z", given_out.json()["expiresAt"])
    preview = running.client().get(f"/dicom/instances/{image}/preview")
    for base in ("", "/api"):
        shown = nobody.get(base + given_out.json()["url"])
        assert (shown.status_code, shown.content) == (200, preview.content)
        assert shown.headers["content-type"] == "image/jpeg"
        assert shown.headers["etag"] == preview.headers["etag"]
        [told] = shown.headers.get_list("cache-control")
        assert CACHED.fullmatch(told)
        assert not {"vary", "age"} & set(shown.headers)


def test_all_who_ask_in_a_window_are_given_the_same(running: Running, image: str) -> None:
    def asked() -> tuple[str, str]:
        return url_of(running, image), url_of(running, image, "bob")

    one, other = asked()
    if one != other:  # a window ended between the two
        one, other = asked()
    assert one == other
    assert url_of(running, image, width=64) != one


def test_unchanged_and_head(running: Running, image: str, nobody: httpx.Client) -> None:
    url = url_of(running, image)
    shown = nobody.get(url)
    same = nobody.get(url, headers={"If-None-Match": shown.headers["etag"]})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", shown.headers["etag"])
    assert CACHED.fullmatch(same.headers["cache-control"])
    head = nobody.head(url)
    assert (head.status_code, head.content) == (200, b"")
    told = ("etag", "content-length", "content-type")
    assert [head.headers[name] for name in told] == [shown.headers[name] for name in told]


def test_the_picture_is_part_of_it(running: Running, image: str, nobody: httpx.Client) -> None:
    small = nobody.get(url_of(running, image, width=32, height=20, quality=50, contentType="image/png"))
    asked = running.client().get(
        f"/dicom/instances/{image}/preview?width=32&height=20&quality=50", headers={"Accept": "image/png"}
    )
    assert (small.headers["content-type"], small.content) == ("image/png", asked.content)
    accepting = nobody.get(url_of(running, image), headers={"Accept": "image/png"})
    assert accepting.headers["content-type"] == "image/jpeg"
    beyond = nobody.get(url_of(running, image, frame=2))
    assert (beyond.status_code, beyond.json()["type"]) == (404, "/problems/frame-unknown")


@pytest.mark.parametrize(
    "wrong",
    [{"quality": 0}, {"quality": 101}, {"frame": 0}, {"width": 2049}, {"height": 0}, {"contentType": "image/gif"}],
)
def test_the_limits_are_the_previews(running: Running, image: str, wrong: dict[str, Any]) -> None:
    refused = share(running, image, **wrong)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, next(iter(wrong)))


def test_a_body_is_not_needed(running: Running, image: str) -> None:
    answer = running.client().post(f"/dicom/instances/{image}/preview-url")
    assert answer.status_code == 200, answer.text


def test_who_may_not_see_it_is_given_none(running: Running, image: str) -> None:
    hidden, unknown = share(running, image, "mallory"), share(running, "0-0-0-0-0", "mallory")
    assert problem(hidden) == problem(unknown) == UNKNOWN
    assert hidden.json()["message"] == unknown.json()["message"]


def test_one_that_is_in_no_exam_has_none(running: Running) -> None:
    image = stored(running, None)
    assert share(running, image).json()["type"] == "/problems/not-registered"
    assert share(running, image).status_code == 409
    assert share(running, image, "mallory").status_code == 404


def test_an_altered_one_is_unknown(running: Running, image: str, exam: str, nobody: httpx.Client) -> None:
    url, small, other = (
        url_of(running, image),
        url_of(running, image, width=64),
        url_of(running, stored(running, exam)),
    )
    signature, claims = url.rsplit("/", 2)[1:]
    altered = [
        url.replace(claims, small.rsplit("/", 1)[1]),
        url.replace(claims, other.rsplit("/", 1)[1]),
        url.replace(".jpeg", ".png"),
        url.replace(signature, signature[::-1]),
        url + "?again=1",
        url[:-1],
    ]
    told = nobody.get(f"/dicom/signed/x/{claims}").json()["message"]
    for one in altered:
        refused = nobody.get(one)
        assert (problem(refused), refused.json()["message"]) == (UNKNOWN, told), one
    words = running.client().get("/dicom/instances/0-0-0-0-0/preview").json()["message"]
    assert told == words


def _ends(nobody: httpx.Client, url: str) -> None:
    eventually(lambda: nobody.get(url).status_code != 200, MARGIN * HEARD_SECONDS, "its end")
    assert problem(nobody.get(url)) == ENDED


@pytest.fixture
def shown(running: Running, nobody: httpx.Client) -> tuple[str, str, str]:
    """Exam, image, and a URL of it that was used."""
    exam = given.name()
    running.open_exam(exam, "user:alice")
    image = stored(running, exam)
    url = url_of(running, image)
    assert nobody.get(url).status_code == 200
    return exam, image, url


def test_a_change_of_rights_ends_it(running: Running, nobody: httpx.Client, shown: tuple[str, str, str]) -> None:
    exam, image, url = shown
    running.open_exam(exam, "user:alice", "user:carol")
    _ends(nobody, url)
    etag = {"If-None-Match": "*"}
    assert problem(nobody.get(url, headers=etag)) == ENDED
    again = url_of(running, image, "carol")
    assert again != url
    assert nobody.get(again).status_code == 200
    running.open_exam(exam, "user:carol")
    _ends(nobody, again)
    assert share(running, image).status_code == 404


def test_moving_it_ends_it(running: Running, nobody: httpx.Client, shown: tuple[str, str, str]) -> None:
    """Into an exam whose epoch is the same."""
    _, image, url = shown
    other = given.name()
    running.open_exam(other, "user:alice")
    overseer = running.client("olga", "exams:all")
    record = registered(running.client(), image)["imageID"]
    overseer.put(f"/examens-medicaux/images/{record}", json={"examenID": other}).raise_for_status()
    _ends(nobody, url)
    assert nobody.get(url_of(running, image)).status_code == 200


def test_deleting_it_ends_it(running: Running, nobody: httpx.Client, shown: tuple[str, str, str]) -> None:
    _, image, url = shown
    running.orthanc().delete(f"/instances/{image}").raise_for_status()
    running.client("olivia", "ops").post("/ops/reconcile", json={"full": True, "reason": "a test"})
    registered(running.client(), image, "deleted")
    _ends(nobody, url)
    gone = share(running, image)
    assert (gone.status_code, gone.json()["type"]) == (410, "/problems/deleted-in-pacs")


Found = Callable[[dict[str, Any]], bool]


def test_the_trail_says_who_gave_it_out_and_that_it_was_used(
    running: Running, nobody: httpx.Client, shown: tuple[str, str, str]
) -> None:
    exam, image, url = shown
    share(running, image, "mallory")
    running.open_exam(exam, "user:alice", "user:carol")
    _ends(nobody, url)

    def recorded(**wanted: str) -> bool:
        auditor = running.client("dora", "audit:read")
        items = auditor.get(f"/examens-medicaux/{exam}/accesses", params={"limit": 1000}).json()["items"]
        return any(all(one[name] == value for name, value in wanted.items()) for one in items)

    for wanted in (
        {"action": "image.share", "actor": "alice", "outcome": "done"},
        {"action": "image.share", "actor": "mallory", "outcome": "denied"},
        {"action": "image.view", "actor": "unknown", "outcome": "done", "reason": "signed"},
        {"action": "image.view", "actor": "unknown", "outcome": "denied", "reason": "signed: url-expired"},
    ):
        eventually(lambda wanted=wanted: recorded(**wanted), what=str(wanted))  # type: ignore[misc]
