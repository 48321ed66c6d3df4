"""Files made to hurt: what the gate spends on them is bounded, and each ends as a refusal or a header."""

import struct
import tracemalloc
from collections.abc import Callable

import pytest
from pydicom.datadict import tag_for_keyword

from services.upload_service.dicom import Header, read_header, text_of
from services.upload_service.errors import DicomBroken
from shared.errors import Problem
from tests.unit.dicom_bytes import (
    DEFLATED,
    deflated,
    element,
    identity,
    meta,
    nested,
    nested_with_lengths,
)

LIMIT = 8 * 1024 * 1024  # the service's default
MIB = 1024 * 1024
EMPTY_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
PIXELS = element(0x7FE00010, b"OB", b"p" * 100)


def outcome(content: bytes) -> Header | Problem | None:
    try:
        return read_header(content, whole=True, limit=LIMIT)
    except Problem as problem:
        return problem


@pytest.mark.parametrize("depth", [400, 5_000, 50_000])
def test_sequences_in_sequences_are_refused(depth: int) -> None:
    assert isinstance(outcome(meta() + identity() + nested(depth)), DicomBroken)


@pytest.mark.parametrize("depth", [64, 100, 400])
@pytest.mark.parametrize("make", [nested, nested_with_lengths])
def test_what_is_nested_deeper_than_any_real_image_is_refused(make: Callable[[int], bytes], depth: int) -> None:
    # Orthanc 1.10 recurses for each level, and dies of a segmentation fault at some 50.
    assert isinstance(outcome(meta() + identity() + make(depth)), DicomBroken)
    assert isinstance(outcome(meta() + make(depth) + identity() + PIXELS), DicomBroken)
    assert isinstance(outcome(meta(DEFLATED) + deflated(identity() + make(depth))), DicomBroken)


@pytest.mark.parametrize("depth", [400, 5_000])
def test_sequences_in_sequences_that_stream_in_are_refused_without_waiting_for_the_rest(depth: int) -> None:
    content = meta() + nested(depth) + identity() + PIXELS
    with pytest.raises(DicomBroken, match="nested more than 32 deep"):
        read_header(content[:2000], whole=False, limit=LIMIT)


def test_a_deflated_file_is_read() -> None:
    header = outcome(meta(DEFLATED) + deflated(identity() + PIXELS))
    assert isinstance(header, Header)
    assert text_of(header.tags, "SeriesInstanceUID") == "1.2.3.4.5.6.3"
    assert header.least_size == 0


def test_a_deflated_file_that_streams_in_needs_only_its_beginning() -> None:
    noise = bytes(i * i % 251 for i in range(100_000))
    content = meta(DEFLATED) + deflated(identity() + element(0x7FE00010, b"OB", noise))
    header = read_header(content[:1000], whole=False, limit=LIMIT)
    assert header is not None
    assert text_of(header.tags, "SOPClassUID") == "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.parametrize("junk", [b"", b"\xff" * 50, b"not deflated at all"])
def test_what_cannot_be_inflated_is_refused(junk: bytes) -> None:
    assert isinstance(outcome(meta(DEFLATED) + junk), Problem)


@pytest.mark.parametrize("more", [b"", element(0x00020001, b"OB", b"\0" * 2000)], ids=["plain", "long file meta"])
def test_a_bomb_is_inflated_no_further_than_the_limit(more: bytes) -> None:
    bomb = meta(DEFLATED, more) + deflated(identity() + element(0x00400001, b"OB", b"\0" * 100 * MIB))
    assert len(bomb) < 200_000
    tracemalloc.start()
    try:
        assert isinstance(outcome(bomb), Problem)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * LIMIT


@pytest.mark.parametrize("value", [b"\xff\xfe\xfd", b"abc", b"\xff" * 9, b"1\\2\\3", b""])
@pytest.mark.parametrize("vr", [b"AT", b"DA", b"DS", b"DT", b"FD", b"IS", b"OW", b"PN", b"SQ", b"UL", b"ZZ", b"??"])
def test_a_value_of_another_kind_never_makes_the_gate_fail(vr: bytes, value: bytes) -> None:
    for name in ("Modality", "AccessionNumber", "AcquisitionDateTime", "TimezoneOffsetFromUTC", "SOPInstanceUID"):
        strange = element(int(tag_for_keyword(name) or 0), vr, value)
        header = outcome(meta() + identity() + strange + PIXELS)
        assert isinstance(header, (Header, Problem))
        if isinstance(header, Header):
            assert isinstance(text_of(header.tags, name), str | None)


@pytest.mark.parametrize("charset", [b"ISO_IR 999", b"\\", b"\xff\xff", b"ISO 2022 IR 87\\ISO_IR 192"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom tells that it falls back
def test_a_strange_character_set_never_makes_the_gate_fail(charset: bytes) -> None:
    header = outcome(
        meta() + element(0x00080005, b"CS", charset) + element(0x00080050, b"SH", b"\x1b$B\xff") + identity()
    )
    assert isinstance(header, (Header, Problem))
    if isinstance(header, Header):
        assert isinstance(text_of(header.tags, "AccessionNumber"), str)
