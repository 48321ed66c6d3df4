"""Which pictures are made ahead, under whose digest, and what goes wrong without harm."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY

from services.preview_service.access import Instance
from services.preview_service.cache import Cache
from services.preview_service.pictures import DEFAULT, Pictures
from services.preview_service.rendering import Renderer
from services.preview_service.settings import CacheSettings, RenderSettings, WarmingSettings
from services.preview_service.warming import Warming
from shared.events import Event
from tests.unit.rendering_double import OrthancThatRenders
from tests.unit.wire_events import STORED

MINE, OTHERS = "d" * 32, "e" * 32
THUMBNAIL = replace(DEFAULT, frame=2, width=32, height=32)


@pytest.fixture
def orthanc() -> OrthancThatRenders:
    return OrthancThatRenders()


@pytest.fixture
async def pictures(orthanc: OrthancThatRenders, tmp_path: Path) -> AsyncIterator[Pictures]:
    made = Pictures(Renderer(orthanc, RenderSettings()), Cache(CacheSettings(folder=tmp_path)), RenderSettings())
    yield made
    await made.aclose()


async def warm(orthanc: OrthancThatRenders, pictures: Pictures, digest: str = MINE) -> None:
    settings = WarmingSettings(thumbnail=32, attempts=3, again_seconds=0.01)
    data = STORED.model_copy(update={"digest": digest, "orthanc_instance_id": "i-1"})
    event = Event.about(data, source="/partner/p", subject="i-1", correlation_id=None)
    await Warming(pictures, orthanc, settings).warm(event)


def instance(digest: str = MINE) -> Instance:
    return Instance("i-1", "1", "1.1", "1.2", digest, "CT", None)


def outcomes(outcome: str) -> float:
    return REGISTRY.get_sample_value("examflow_preview_warmed_total", {"outcome": outcome}) or 0.0


async def test_the_default_view_the_frames_and_the_middle_one_small(
    orthanc: OrthancThatRenders, pictures: Pictures
) -> None:
    before = outcomes("made")
    await warm(orthanc, pictures)
    found = [await pictures.show(instance(), DEFAULT), await pictures.show(instance(), THUMBNAIL)]
    found.append(await pictures.frames(instance()))
    assert [source for _, source in found] == ["hit"] * 3
    assert orthanc.renders == 2  # frame 1, and frame 2 of 3
    assert outcomes("made") == before + 1


async def test_a_digest_that_an_event_claims_counts_for_nothing(
    orthanc: OrthancThatRenders, pictures: Pictures
) -> None:
    """Or a partner's event would put its own image's picture in the place of another's."""
    await warm(orthanc, pictures, digest=OTHERS)
    assert (await pictures.show(instance(OTHERS), DEFAULT))[1] == "miss"
    assert (await pictures.show(instance(MINE), DEFAULT))[1] == "hit"


@pytest.mark.parametrize(
    ("status", "outcome", "asked"), [(415, "no-picture", 1), (500, "orthanc-nonsense", 1), (503, "away", 3)]
)
async def test_what_goes_wrong_is_counted_and_over(
    orthanc: OrthancThatRenders, pictures: Pictures, status: int, outcome: str, asked: int
) -> None:
    before, orthanc.status = outcomes(outcome), status
    await warm(orthanc, pictures)
    assert (outcomes(outcome), orthanc.renders) == (before + 1, asked)


async def test_an_image_that_is_gone(orthanc: OrthancThatRenders, pictures: Pictures) -> None:
    before, orthanc.has = outcomes("gone"), False
    await warm(orthanc, pictures)
    assert (outcomes("gone"), orthanc.renders) == (before + 1, 0)


async def test_a_picture_that_nobody_foresaw_holds_up_nothing(
    orthanc: OrthancThatRenders, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def strange(*_: object) -> httpx.Response:
        return httpx.Response(200, content=b"no picture at all")

    before = outcomes("failed")
    monkeypatch.setattr(orthanc, "render", strange)
    await warm(orthanc, pictures)
    assert outcomes("failed") == before + 1
