"""Each picture is made once, whoever asks and however often; what has none is not asked for again for a while."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from services.preview_service import refused
from services.preview_service.access import Instance
from services.preview_service.cache import Cache
from services.preview_service.errors import FrameUnknown, Gone, NoPicture
from services.preview_service.negotiation import JPEG
from services.preview_service.pictures import DEFAULT, Pictures
from services.preview_service.rendering import Renderer
from services.preview_service.settings import CacheSettings, RenderSettings
from services.preview_service.view import View
from shared.errors import OrthancAway, OrthancNonsense, Problem
from tests.unit.rendering_double import OrthancThatRenders

CT = Instance("i-1", "1", "1.1", "1.2", "d" * 32, "CT", "EX-1")
SMALL = View(1, 90, 16, None, JPEG)


@pytest.fixture
def orthanc() -> OrthancThatRenders:
    return OrthancThatRenders()


def cache_in(folder: Path, **more: int) -> Cache:
    return Cache(CacheSettings.model_validate({"folder": folder / "pictures", **more}))


def pictures_of(orthanc: OrthancThatRenders, cache: Cache, **more: float) -> Pictures:
    settings = RenderSettings.model_validate(more)
    return Pictures(Renderer(orthanc, settings), cache, settings)


@pytest.fixture
async def pictures(orthanc: OrthancThatRenders, tmp_path: Path) -> AsyncIterator[Pictures]:
    made = pictures_of(orthanc, cache_in(tmp_path))
    yield made
    await made.aclose()


async def test_made_once_then_found(pictures: Pictures, orthanc: OrthancThatRenders) -> None:
    made, source = await pictures.show(CT, DEFAULT)
    again, found = await pictures.show(CT, DEFAULT)
    assert (source, found, made, orthanc.renders) == ("miss", "hit", again, 1)


async def test_two_hundred_at_once_are_one_render(pictures: Pictures, orthanc: OrthancThatRenders) -> None:
    shown = await asyncio.gather(*(pictures.show(CT, DEFAULT) for _ in range(200)))
    assert orthanc.renders == 1
    assert len({picture for picture, _ in shown}) == 1
    assert sorted({source for _, source in shown}) == ["collapsed", "miss"]


async def test_it_is_made_though_who_asked_first_has_left(pictures: Pictures, orthanc: OrthancThatRenders) -> None:
    first = asyncio.create_task(pictures.show(CT, DEFAULT))
    await asyncio.sleep(0.01)
    first.cancel()
    await pictures.show(CT, DEFAULT)
    assert (orthanc.renders, (await pictures.show(CT, DEFAULT))[1]) == (1, "hit")


async def test_a_small_one_is_made_of_the_large_one(pictures: Pictures, orthanc: OrthancThatRenders) -> None:
    small, _ = await pictures.show(CT, SMALL)
    assert Image.open(io.BytesIO(small.content)).size == (16, 8)
    assert (await pictures.show(CT, DEFAULT))[1] == "hit"
    assert orthanc.renders == 1


async def test_how_many_frames_and_how_large(pictures: Pictures, orthanc: OrthancThatRenders) -> None:
    told, _ = await pictures.frames(CT)
    assert json.loads(told.content) == {"count": 3, "width": 64, "height": 32}
    assert (await pictures.frames(CT))[1] == (await pictures.show(CT, DEFAULT))[1] == "hit"
    assert orthanc.renders == 1


async def test_it_survives_a_restart(pictures: Pictures, orthanc: OrthancThatRenders, tmp_path: Path) -> None:
    before, _ = await pictures.show(CT, DEFAULT)
    cache = cache_in(tmp_path)
    await cache.open()
    after, source = await pictures_of(orthanc, cache).show(CT, DEFAULT)
    assert (after.content, round(after.made, 3), source) == (before.content, round(before.made, 3), "hit")
    assert orthanc.renders == 1


@pytest.mark.parametrize(("frame", "kind", "seconds"), [(3, NoPicture, 300), (4, FrameUnknown, 5)])
@pytest.mark.parametrize("status", [400, 404, 415])
async def test_what_has_no_picture_is_not_asked_for_again_for_a_while(
    pictures: Pictures,
    orthanc: OrthancThatRenders,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    frame: int,
    kind: type[Problem],
    seconds: float,
) -> None:
    """Three frames there are. Orthanc says this or that of one that there is not."""
    now = 1000.0
    monkeypatch.setattr(pictures, "_refused", refused.Refused(RenderSettings(), lambda: now))
    orthanc.status = status
    for _ in range(3):
        with pytest.raises(kind):
            await pictures.show(CT, replace(DEFAULT, frame=frame))
        with pytest.raises(kind):
            await pictures.show(CT, replace(SMALL, frame=frame))
    assert orthanc.renders == 1
    now += seconds + 0.1
    orthanc.status = 200
    assert (await pictures.show(CT, replace(DEFAULT, frame=frame)))[1] == "miss"


@pytest.mark.parametrize(("status", "kind"), [(500, OrthancNonsense), (503, OrthancAway)])
async def test_an_error_is_never_remembered(
    pictures: Pictures, orthanc: OrthancThatRenders, status: int, kind: type[Problem]
) -> None:
    orthanc.status = status
    for _ in range(2):
        with pytest.raises(kind):
            await pictures.show(CT, DEFAULT)
    assert orthanc.renders == 2
    orthanc.status = 200
    await pictures.show(CT, DEFAULT)


async def test_what_orthanc_has_no_more_is_purged(pictures: Pictures, orthanc: OrthancThatRenders) -> None:
    await pictures.show(CT, DEFAULT)
    orthanc.status, orthanc.has = 404, False
    with pytest.raises(Gone):
        await pictures.show(CT, View(2, 90, None, None, JPEG))
    with pytest.raises(Gone):
        await pictures.show(CT, DEFAULT)


async def test_a_render_that_takes_too_long_is_given_up(orthanc: OrthancThatRenders, tmp_path: Path) -> None:
    orthanc.seconds = 30
    with pytest.raises(OrthancAway):
        await pictures_of(orthanc, cache_in(tmp_path), seconds=0.05).show(CT, DEFAULT)


async def test_a_disk_that_fails_costs_no_picture(orthanc: OrthancThatRenders, tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("no folder")
    cache = cache_in(tmp_path)
    await cache.open()
    pictures = pictures_of(orthanc, cache)
    assert [(await pictures.show(CT, DEFAULT))[1] for _ in range(2)] == ["miss", "hit"]
    await cache.purge(CT.digest)  # an image that was deleted is told to be, not an error of the disk
    assert (await pictures.show(CT, DEFAULT))[1] == "miss"


async def test_without_memory_the_disk_is_enough(orthanc: OrthancThatRenders, tmp_path: Path) -> None:
    pictures = pictures_of(orthanc, cache_in(tmp_path, memory_bytes=0))
    assert [(await pictures.show(CT, DEFAULT))[1] for _ in range(2)] == ["miss", "hit"]
    assert orthanc.renders == 1
