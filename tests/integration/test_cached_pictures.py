"""What is shown while Orthanc is away, after a restart, and once an image was deleted."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.dicom_files import fresh
from tests.integration import faulty, given
from tests.integration.faulty import Faulty
from tests.running import eventually, registered, upload


@pytest.fixture(scope="module")
def whole(request: pytest.FixtureRequest) -> Iterator[Faulty]:
    if request.config.getoption("--backends") != "local":
        pytest.skip("stops local processes")
    yield from faulty.make()


@pytest.fixture
def broken(whole: Faulty) -> Iterator[Faulty]:
    """The system, whole again after each test."""
    yield whole
    faulty.mend(whole)


@pytest.fixture
def image(broken: Faulty) -> str:
    exam = given.name()
    broken.running.open_exam(exam, "user:alice")
    orthanc_id: str = upload(broken.running.client(), fresh("CT_small.dcm"), examenID=exam).json()["data"]["ID"]
    registered(broken.running.client(), orthanc_id)
    return orthanc_id


def show(broken: Faulty, image: str, **more: int) -> httpx.Response:
    return broken.running.client().get(f"/dicom/instances/{image}/preview", params=more)


def files(broken: Faulty) -> list[Path]:
    return [path for path in broken.system.layout.pictures.rglob("*") if path.is_file()]


def test_while_orthanc_is_away_what_was_made_is_shown_and_the_rest_refused(broken: Faulty, image: str) -> None:
    made = show(broken, image)
    broken.stop("orthanc")
    found = show(broken, image)
    assert (found.status_code, found.content) == (200, made.content)
    assert found.headers["cache-status"] == "examflow; hit"
    assert int(found.headers["age"]) >= 0
    assert show(broken, image, width=32).status_code == 200  # made of what there is
    refused = show(broken, image, quality=50)
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/orthanc-away")
    assert int(refused.headers["retry-after"]) > 0
    broken.start("orthanc")
    eventually(lambda: show(broken, image, quality=50).status_code == 200, 40, "Orthanc")


def test_pictures_survive_the_death_of_the_service(broken: Faulty, image: str) -> None:
    made = show(broken, image)
    broken.kill("preview")
    broken.becomes_ready()
    broken.stop("orthanc")
    found = show(broken, image)
    assert (found.status_code, found.content, found.headers["etag"]) == (200, made.content, made.headers["etag"])
    assert found.headers["cache-status"] == "examflow; hit"


def test_pictures_of_a_deleted_image_are_gone(broken: Faulty, image: str) -> None:
    other = show(broken, image).content
    before = set(files(broken))
    assert before
    broken.running.orthanc().delete(f"/instances/{image}").raise_for_status()
    # Until the reconciler has found that out, only a picture that was not made yet tells.
    gone = show(broken, image, quality=33)
    assert (gone.status_code, gone.json()["type"]) == (410, "/problems/deleted-in-pacs")
    assert show(broken, image).status_code == 410
    assert len(files(broken)) == len(before) - 1
    assert other


def test_the_folder_is_private(broken: Faulty, image: str) -> None:
    show(broken, image)
    folder = broken.system.layout.pictures
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*")) if path.is_dir()} == {0}
