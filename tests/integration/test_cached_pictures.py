"""Each picture costs Orthanc one render: made ahead, shared, kept over outages and restarts, gone with its image."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.dicom_files import fresh
from tests.integration.faulty import Faulty
from tests.running import eventually, upload

HIT = "examflow; hit"


@pytest.fixture(scope="module", autouse=True)
def _exam(whole: Faulty) -> None:
    whole.running.open_exam("EX-CACHED", "user:alice")


@pytest.fixture
def image(broken: Faulty) -> str:
    """One whose pictures were made ahead: from now on, nothing is made but for who asks."""
    return stored(broken, "CT_small.dcm")


def stored(broken: Faulty, name: str) -> str:
    before = counted(broken, "examflow_preview_warmed_total")
    answer = upload(broken.running.client(), fresh(name), examenID="EX-CACHED")
    orthanc_id: str = answer.json()["data"]["ID"]
    eventually(lambda: counted(broken, "examflow_preview_warmed_total") == before + 1, what="pictures made ahead")
    return orthanc_id


def counted(broken: Faulty, metric: str) -> float:
    """Of the preview service, whatever its labels."""
    lines = httpx.get(broken.system.service_url("preview") + "/metrics", trust_env=False).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith((metric + " ", metric + "{")))


def renders(broken: Faulty) -> float:
    """How often Orthanc was asked for a picture."""
    return counted(broken, "examflow_preview_render_seconds_count")


def show(broken: Faulty, image: str, **more: int) -> httpx.Response:
    return broken.running.client().get(f"/dicom/instances/{image}/preview", params=more)


def files(broken: Faulty) -> set[Path]:
    return {path for path in broken.system.layout.pictures.rglob("*") if path.is_file()}


def test_the_first_view_is_a_hit(broken: Faulty) -> None:
    """The thumbnail of several frames shows the one in the middle."""
    image = stored(broken, "examples_ybr_color.dcm")
    before = renders(broken)
    found = [show(broken, image), show(broken, image, frame=15, width=256, height=256)]
    found.append(broken.running.client().get(f"/dicom/instances/{image}/frames"))
    assert [(answer.status_code, answer.headers["cache-status"]) for answer in found] == [(200, HIT)] * 3
    assert found[-1].json()["count"] == 30
    assert renders(broken) == before
    assert counted(broken, "examflow_preview_warm_lag_seconds_count") >= 1


def test_two_hundred_at_once_cost_one_render(broken: Faulty, image: str) -> None:
    before = renders(broken)
    headers = {"Authorization": f"Bearer {broken.running.token('alice')}"}
    url = broken.system.service_url("preview")  # past the gateway, which allows a client less

    async def all_at_once() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(
            base_url=url, headers=headers, limits=limits, timeout=60, trust_env=False
        ) as client:
            asked = (client.get(f"/dicom/instances/{image}/preview?quality=77") for _ in range(200))
            return await asyncio.gather(*asked)

    answers = asyncio.run(all_at_once())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert renders(broken) == before + 1


def test_a_small_one_costs_no_render_of_its_own(broken: Faulty, image: str) -> None:
    before = renders(broken)
    small, whole = show(broken, image, quality=66, width=64), show(broken, image, quality=66)
    assert (small.headers["cache-status"], whole.headers["cache-status"]) == ("examflow; fwd=uri-miss; stored", HIT)
    assert renders(broken) == before + 1


def test_what_has_no_picture_is_asked_for_once(broken: Faulty) -> None:
    before = renders(broken)
    image = stored(broken, "test-SR.dcm")
    for _ in range(3):
        assert show(broken, image).status_code == 415
    assert renders(broken) == before + 1


def test_while_orthanc_is_away_what_was_made_is_shown_and_the_rest_refused(broken: Faulty, image: str) -> None:
    made = show(broken, image)
    broken.stop("orthanc")
    found = show(broken, image)
    assert (found.status_code, found.content, found.headers["cache-status"]) == (200, made.content, HIT)
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
    assert found.headers["cache-status"] == HIT


def test_pictures_of_a_deleted_image_are_gone(broken: Faulty) -> None:
    before = files(broken)
    image = stored(broken, "CT_small.dcm")
    assert len(files(broken) - before) == 3
    broken.running.orthanc().delete(f"/instances/{image}").raise_for_status()
    # Until the reconciler has found that out, only a picture that was not made yet tells.
    gone = show(broken, image, quality=33)
    assert (gone.status_code, gone.json()["type"]) == (410, "/problems/deleted-in-pacs")
    assert show(broken, image).status_code == 410
    assert files(broken) == before


def test_what_came_while_the_service_was_away_is_made_ahead_afterwards(broken: Faulty, image: str) -> None:
    """The queue may lose; it does not lose for a restart."""
    broken.stop("preview")
    before = files(broken)
    upload(broken.running.client(), fresh("CT_small.dcm"), examenID="EX-CACHED")
    assert files(broken) == before
    broken.start("preview")
    eventually(lambda: len(files(broken) - before) == 3, 40, "pictures made ahead")


def test_the_folder_is_private(broken: Faulty, image: str) -> None:
    assert show(broken, image).status_code == 200
    folder = broken.system.layout.pictures
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*")) if path.is_dir()} == {0}
