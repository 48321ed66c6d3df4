"""A file on its way from the form to Orthanc: what goes out is what came in, and what must not be stored is not."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator

import pytest
from pydicom.uid import ExplicitVRBigEndian

from services.upload_service.dicom import text_of
from services.upload_service.errors import (
    CutOff,
    DicomBroken,
    SentTooSlowly,
    UploadsFull,
)
from services.upload_service.form import UploadForm
from services.upload_service.pace import PaceSettings, paced
from services.upload_service.places import Places
from services.upload_service.receiving import PIECE, Receiving
from services.upload_service.settings import Settings
from shared.errors import OrthancAway, Problem
from tests.unit.dicom_bytes import (
    DEFLATED,
    SEQUENCE_END,
    UNDEFINED,
    deflated,
    dicom,
    element,
    identity,
    meta,
    nested,
)
from tests.unit.multipart import CONTENT_TYPE, arriving, file_part, form
from tests.unit.orthanc_double import OrthancDouble
from tests.unit.receiving import BUFFERED, MIB, NOISE, receive, refused
from tests.unit.settings import SHARED


@pytest.mark.parametrize("chunk", [1, 999, 65536])
async def test_a_small_file_goes_out_in_one_piece(chunk: int) -> None:
    content, orthanc = dicom(Modality="CT", pixels=b"p" * 500), OrthancDouble()
    received = await receive(form(file_part(content)), orthanc, chunk=chunk)
    assert orthanc.stored == [content]
    assert orthanc.chunks == []
    assert (received.size, received.digest) == (len(content), hashlib.md5(content).hexdigest())
    assert text_of(received.header.tags, "Modality") == "CT"
    assert received.stored.instance_id == "an-id"


@pytest.mark.parametrize("chunk", [1000, 65536, 10_000_000])
async def test_a_large_file_flows_through_as_it_is(chunk: int) -> None:
    content, orthanc = dicom(ExplicitVRBigEndian, pixels=NOISE), OrthancDouble()
    received = await receive(form(file_part(content)), orthanc, chunk=chunk)
    assert orthanc.stored == [content]
    assert (received.size, received.digest) == (len(content), hashlib.md5(content).hexdigest())
    assert sum(orthanc.chunks) == len(content)


async def test_what_flows_to_orthanc_goes_in_few_large_chunks() -> None:
    orthanc = OrthancDouble()
    await receive(form(file_part(dicom(pixels=NOISE))), orthanc, chunk=1000)
    header, first, *between, _ = orthanc.chunks
    assert BUFFERED <= header + first < BUFFERED + 1000
    assert all(PIECE <= size < PIECE + 1000 for size in between)
    assert len(between) == 3


@pytest.mark.parametrize("size", [BUFFERED - 2, BUFFERED, BUFFERED + 2])
async def test_a_file_of_just_the_size_that_is_held(size: int) -> None:
    content, orthanc = dicom(pixels=b"p" * (size - len(dicom(pixels=b"pp")) + 2)), OrthancDouble()
    assert len(content) == size
    received = await receive(form(file_part(content)), orthanc, chunk=100)
    assert orthanc.stored == [content]
    assert received.size == size


async def test_only_the_beginning_was_read_when_orthanc_is_asked() -> None:
    read, orthanc = 0, OrthancDouble(refuses_after=1)
    content = dicom(pixels=NOISE)

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for start in range(0, len(content), 1000):
            read += 1000
            yield content[start : start + 1000]

    settings = Settings(**{**SHARED, "buffered_file": BUFFERED})
    with Places(settings.places).taken() as place, pytest.raises(OrthancAway):
        await Receiving(body(), orthanc, settings, place, None).store()
    assert read == BUFFERED


async def test_a_long_header_is_read_on_until_the_pixels_begin() -> None:
    content, orthanc = dicom(PatientComments="c" * 60_000, pixels=NOISE), OrthancDouble()
    await receive(form(file_part(content)), orthanc)
    assert orthanc.stored == [content]
    assert orthanc.chunks[0] > 60_000


async def test_a_large_file_without_pixels_is_held_whole() -> None:
    content, orthanc = dicom(PatientComments="c" * 60_000), OrthancDouble()
    received = await receive(form(file_part(content)), orthanc)
    assert orthanc.stored == [content]
    assert orthanc.chunks == []
    assert received.size == len(content)


async def test_a_small_file_that_is_hard_to_read_does_not_hold_up_others() -> None:
    items = b"\xfe\xff\0\xe0\0\0\0\0" * 100_000
    dataset = identity() + element(0x00081115, b"SQ", length=UNDEFINED) + items + SEQUENCE_END
    body, waits = form(file_part(meta(DEFLATED) + deflated(dataset))), []
    assert len(body) < 3000

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            waits.append(time.monotonic() - before)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.02)
    with contextlib.suppress(Problem):
        await receive(body, OrthancDouble(), header_limit=8 * 1024 * 1024)
    await asyncio.sleep(0.02)
    ticking.cancel()
    assert max(waits) < 0.5


async def test_a_large_file_that_says_so_is_held_no_further_than_its_header() -> None:
    content, orthanc = dicom(pixels=b"p" * 3 * MIB), OrthancDouble()
    body = form(file_part(content))
    await receive(body, orthanc, length=len(body), buffered_file=MIB, header_limit=8 * MIB)
    assert orthanc.stored == [content]
    assert orthanc.chunks[0] <= 2 * 65536


async def test_what_follows_the_pixels_is_walked_through_while_it_flows() -> None:
    orthanc = OrthancDouble()
    await refused(form(file_part(dicom(pixels=NOISE) + nested(40))), orthanc, DicomBroken)
    assert len(orthanc.cut_off) == 1
    await receive(form(file_part(dicom(pixels=NOISE) + nested(30))), orthanc)
    assert len(orthanc.stored) == 1


async def test_a_large_file_without_pixels_flows() -> None:
    structures = dicom(SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3") + element(0x30060039, b"OB", b"c" * 3 * MIB)
    orthanc = OrthancDouble()
    await receive(form(file_part(structures)), orthanc, buffered_file=MIB, header_limit=2 * MIB)
    assert orthanc.stored == [structures]
    assert len(orthanc.chunks) > 3
    await refused(form(file_part(structures[:-1])), OrthancDouble(), CutOff, header_limit=2 * MIB)


@pytest.mark.parametrize("more", [{"uploads": 1}, {"held": 60_000}, {"storing": 70_000}])
async def test_what_has_no_place_is_refused_at_once(more: dict[str, int]) -> None:
    settings, orthanc = Settings(**{**SHARED, "upload_limit": 1, "inflated_limit": 1}), OrthancDouble()
    places = Places(settings.places.model_copy(update=more))
    body = form(file_part(dicom(pixels=b"p" * 50_000)))

    async def send() -> None:
        with places.taken() as place:
            pieces = UploadForm(CONTENT_TYPE, arriving(body), 10**6).file()
            await Receiving(pieces, orthanc, settings, place, None).store()

    with places.taken() as other:
        other.holds(min(20_000, more.get("held", 20_000)))
        other.stores(min(20_000, more.get("storing", 20_000)))
        with pytest.raises(UploadsFull):
            await send()
    assert orthanc.stored == []
    await send()
    assert len(orthanc.stored) == 1


async def test_what_does_not_say_how_long_it_is_may_run_out_of_room_on_its_way() -> None:
    settings, orthanc = Settings(**{**SHARED, "buffered_file": BUFFERED, "header_limit": 100_000}), OrthancDouble()
    places = Places(settings.places.model_copy(update={"storing": 2 * PIECE}))
    pieces = UploadForm(CONTENT_TYPE, arriving(form(file_part(dicom(pixels=NOISE)))), 10**9).file()
    with places.taken() as place, pytest.raises(UploadsFull):
        await Receiving(pieces, orthanc, settings, place, None).store()
    assert orthanc.stored == []
    assert len(orthanc.cut_off) == 1
    assert (places.uploads, places.held, places.storing) == (0, 0, 0)


async def test_a_sender_that_stalls_while_its_file_flows_is_cut_off() -> None:
    settings, orthanc = Settings(**{**SHARED, "buffered_file": BUFFERED}), OrthancDouble()
    body = form(file_part(dicom(pixels=NOISE)))

    async def stalling() -> AsyncIterator[bytes]:
        yield body[: 2 * PIECE]
        await asyncio.sleep(60)

    pace = PaceSettings(window_seconds=0.1)
    pieces = UploadForm(CONTENT_TYPE, paced(stalling(), pace), 10**9).file()
    with Places(settings.places).taken() as place, pytest.raises(SentTooSlowly):
        async with asyncio.timeout(5):
            await Receiving(pieces, orthanc, settings, place, len(body)).store()
    assert orthanc.stored == []
    assert len(orthanc.cut_off) == 1
