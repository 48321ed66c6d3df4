"""A picture is made once: what is kept of it, for how long a browser may believe it, and what is told about frames."""

import re
import time
import warnings

import pytest

from tests import dicom_files
from tests.integration import given
from tests.running import Running, registered, upload

FRESH = re.compile(r"private, max-age=(\d+)")


@pytest.fixture(scope="module")
def exam(running: Running) -> str:
    name = given.name()
    running.open_exam(name, "user:alice")
    return name


@pytest.fixture
def image(running: Running, exam: str) -> str:
    return stored(running, exam, "CT_small.dcm")


def stored(running: Running, exam: str, name: str) -> str:
    with warnings.catch_warnings(action="ignore"):
        content = dicom_files.fresh(name)
    orthanc_id: str = upload(running.client(), content, examenID=exam).json()["data"]["ID"]
    registered(running.client(), orthanc_id)
    return orthanc_id


def test_the_first_view_is_made_and_the_next_is_found(running: Running, image: str) -> None:
    client, address = running.client(), f"/dicom/instances/{image}/preview?quality=71"  # made ahead by nobody
    first, second = client.get(address), client.get(address)
    assert first.headers["cache-status"] == "examflow; fwd=uri-miss; stored"
    assert second.headers["cache-status"] == "examflow; hit"
    assert first.content == second.content
    assert first.headers["etag"] == second.headers["etag"]


def test_its_age_does_not_make_it_stale(running: Running, image: str) -> None:
    """A browser counts max-age from when the picture was made: it may show it for as long as ever."""
    client, address = running.client(), f"/dicom/instances/{image}/preview"
    client.get(address)
    for _ in range(40):  # until it is some seconds old
        found = client.get(address)
        if int(found.headers["age"]) >= 2:
            break
        time.sleep(0.1)
    age, fresh = int(found.headers["age"]), FRESH.fullmatch(found.headers["cache-control"])
    assert fresh
    assert (age >= 2, int(fresh[1]) - age) == (True, 300)
    unchanged = client.get(address, headers={"If-None-Match": found.headers["etag"]})
    assert (unchanged.status_code, unchanged.headers["age"]) == (304, "0")
    assert unchanged.headers["cache-control"] == "private, max-age=300"


@pytest.mark.parametrize("what", ["preview", "frames"])
def test_head_tells_what_get_would(running: Running, image: str, what: str) -> None:
    client, address = running.client(), f"/dicom/instances/{image}/{what}"
    client.get(address)
    got, head = client.get(address), client.head(address)
    assert (head.status_code, head.content) == (200, b"")
    told = ("etag", "content-length", "content-type", "vary", "cache-status")
    assert [head.headers[name] for name in told] == [got.headers[name] for name in told]
    assert int(got.headers["content-length"]) == len(got.content)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("CT_small.dcm", {"count": 1, "width": 128, "height": 128}),
        ("examples_ybr_color.dcm", {"count": 30, "width": 320, "height": 240}),
        ("SC_rgb_rle_2frame.dcm", {"count": 2, "width": 100, "height": 100}),
    ],
)
def test_frames_are_told(running: Running, exam: str, name: str, told: dict[str, int]) -> None:
    address = f"/dicom/instances/{stored(running, exam, name)}"
    frames = running.client().get(f"{address}/frames")
    assert (frames.status_code, frames.json()) == (200, told)
    again = running.client().get(f"{address}/frames", headers={"If-None-Match": frames.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    beyond = running.client().get(f"{address}/preview?frame={told['count'] + 1}")
    assert (beyond.status_code, beyond.json()["type"]) == (404, "/problems/frame-unknown")
