"""The walk through a data set: the same however its bytes are cut, and nothing hides from it that Orthanc reads."""

import struct
from collections.abc import Callable

import pytest

from services.upload_service import elements
from services.upload_service.dicom import Header, read_header, text_of
from services.upload_service.elements import Walk
from services.upload_service.encoding import EXPLICIT, IMPLICIT, Encoding
from services.upload_service.errors import DicomBroken
from services.upload_service.file_meta import read_file_meta
from tests import dicom_files
from tests.unit.dicom_bytes import (
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    element,
    identity,
    meta,
    nested,
    nested_with_lengths,
)

WANTED = {0x00080016, 0x00080018, 0x0020000D, 0x0020000E}
PIXELS = element(0x7FE00010, b"OB", b"p" * 100)
FRAGMENT = struct.pack("<HHI", 0xFFFE, 0xE000, 4) + b"frag"
ENCAPSULATED = element(0x7FE00010, b"OB", length=UNDEFINED) + FRAGMENT * 3 + SEQUENCE_END


def walked(data: bytes, encoding: Encoding = EXPLICIT, chunk: int = 1 << 30) -> Walk:
    walk = Walk(encoding, WANTED, 1000)
    for start in range(0, len(data), chunk):
        walk.feed(data[start : start + chunk])
    return walk


def outcome(data: bytes, encoding: Encoding, chunk: int) -> object:
    """What was found, or why it was refused: an encoding that is not the file's may end so."""
    try:
        walk = walked(data, encoding, chunk)
    except DicomBroken as broken:
        return str(broken)
    return walk.values, walk.pixels_at, walk.least_size, walk.cut_off, walk.split, walk.size


def implicit(tag: int, value: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def refused(data: bytes, encoding: Encoding = EXPLICIT) -> bool:
    try:
        walked(data, encoding)
    except DicomBroken:
        return True
    return False


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
@pytest.mark.parametrize("name", dicom_files.names())
def test_real_files_however_they_are_cut(name: str, chunk: int) -> None:
    content = dicom_files.content(name)
    file_meta = read_file_meta(content, whole=True) if content[128:132] == b"DICM" else None
    data = content[file_meta.data_set_at if file_meta else 0 :][:20_000]
    for encoding in (EXPLICIT, IMPLICIT):
        assert outcome(data, encoding, chunk) == outcome(data, encoding, len(data))


@pytest.mark.parametrize("pixels", [PIXELS, ENCAPSULATED], ids=["native", "encapsulated"])
@pytest.mark.parametrize("make", [nested, nested_with_lengths])
def test_what_follows_the_pixels_may_not_be_nested_deeper_either(pixels: bytes, make: Callable[[int], bytes]) -> None:
    assert not refused(identity() + pixels + make(32))
    assert refused(identity() + pixels + make(33))
    walk = walked(identity() + pixels)
    with pytest.raises(DicomBroken):
        walk.feed(make(33))


def test_what_follows_the_pixels_and_is_no_element_is_left_to_orthanc() -> None:
    for padding in (b"\0", b"\0" * 511, b"\xfc\xff\xfc\xffOB\0\0\xff\xff\0\0", b"\xff" * 7):
        walk = walked(identity() + PIXELS + padding)
        assert not walk.cut_off
        assert walk.least_size == len(identity() + PIXELS)


def test_an_item_that_outgrows_its_unknown_sequence_hides_nothing() -> None:
    """Orthanc passes over a UN with a length; who believed its item would pass over what follows too."""
    liar = ITEM + implicit(0x00081150, length=100_000)
    for behind in (nested(33), nested_with_lengths(33)):
        assert refused(identity() + element(0x00290010, b"UN", liar) + behind)
        assert not refused(identity() + element(0x00290010, b"UN", liar) + nested(1))


def test_an_item_that_outgrows_its_private_sequence_is_refused() -> None:
    """Whether Orthanc looks into it depends on its dictionary."""
    data = implicit(0x00291010, ITEM + implicit(0x00081150, length=100_000)) + implicit(0x00291011, b"1234")
    assert refused(data, IMPLICIT)
    assert not refused(implicit(0x00291010, ITEM + implicit(0x00081150, b"1.2.") + ITEM_END), IMPLICIT)


def test_a_text_that_begins_like_an_item_is_no_sequence() -> None:
    data = implicit(0x00104000, ITEM * 100) + implicit(0x0020000D, b"1.2.")
    assert walked(data, IMPLICIT).values == {0x0020000D: b"1.2."}


@pytest.mark.parametrize("vr", [b"ZZ", b"QQ", b"OX"])
def test_an_unknown_vr_in_capitals_has_a_long_length_as_for_orthanc(vr: bytes) -> None:
    head = struct.pack("<HH2s", 0x0009, 0x1001, vr) + struct.pack("<HI", 0, 4)
    assert walked(head + b"abcd" + identity()).values.keys() == WANTED
    assert refused(head + b"abcd" + nested(33))


@pytest.mark.parametrize("vr", [b"??", b"a1", b"  ", b"\0\0"])
def test_what_is_no_vr_is_refused(vr: bytes) -> None:
    """DCMTK gives it a short length, Orthanc's own reader a long one, and makes room for whatever that says."""
    head = struct.pack("<HH2sH", 0x0009, 0x1001, vr, 4)
    with pytest.raises(DicomBroken, match="no VR that exists"):
        walked(head + b"abcd" + identity())


@pytest.mark.parametrize("reach", [0xFFFFBFFF, 0x7FFFFFFF, 200_000])
def test_an_item_that_says_it_reaches_far_beyond_the_end(reach: int) -> None:
    item = struct.pack("<HHI", 0xFFFE, 0xE000, reach) + element(0x00081150, b"UI", b"1.2.") + ITEM_END
    data = element(0x00081115, b"SQ", length=UNDEFINED) + item + SEQUENCE_END + identity() + PIXELS
    assert walked(data).cut_off
    assert not walked(data.replace(struct.pack("<I", reach), struct.pack("<I", 1000))).cut_off


@pytest.mark.parametrize("pixels", [PIXELS, ENCAPSULATED], ids=["native", "encapsulated"])
def test_a_length_far_beyond_the_end_is_refused_behind_the_pixels_too(pixels: bytes) -> None:
    assert walked(identity() + pixels + element(0xFFFCFFFC, b"OB", b"xx", length=0x7FFFFFFF)).cut_off


def test_of_two_the_first_counts_as_for_orthanc() -> None:
    content = meta() + identity() + element(0x0020000E, b"UI", b"9.9.9") + PIXELS
    header = read_header(content, whole=True, limit=10_000)
    assert isinstance(header, Header)
    assert text_of(header.tags, "SeriesInstanceUID") == "1.2.3.4.5.6.3"


def test_a_value_of_another_vr_is_read_as_what_its_tag_is() -> None:
    strange = identity().replace(b"\x20\0\x0e\0UI", b"\x20\0\x0e\0FD")
    header = read_header(meta() + strange + PIXELS, whole=True, limit=10_000)
    assert header is not None
    assert text_of(header.tags, "SeriesInstanceUID") == "1.2.3.4.5.6.3"


def test_a_wanted_value_that_is_far_too_long_is_none() -> None:
    long = element(0x0020000D, b"UT", b"1" * (elements.LONGEST + 1))
    assert walked(long).values == {}
    assert walked(element(0x0020000D, b"UT", b"1" * elements.LONGEST)).values.keys() == {0x0020000D}


def test_elements_are_counted() -> None:
    data = identity() + element(0x00081115, b"SQ", length=UNDEFINED) + (ITEM + ITEM_END) * 500 + SEQUENCE_END
    walk = Walk(EXPLICIT, WANTED, 1000, most=1006)
    walk.feed(data)
    with pytest.raises(DicomBroken, match="too many elements"):
        Walk(EXPLICIT, WANTED, 1000, most=1005).feed(data)


def test_what_is_passed_over_costs_nothing_and_is_said_so() -> None:
    walk = walked(identity() + element(0x7FE00010, b"OB", length=1000))
    assert walk.passes_over(1000)
    assert not walk.passes_over(1001)
    walk.feed(b"p" * 600)
    assert walk.passes_over(400)
    assert not walk.passes_over(401)
    walk.feed(b"p" * 400 + b"\xfc\xff")
    assert not walk.passes_over(1)


@pytest.mark.parametrize("vr", [b"SQ", b"UN"])
def test_a_sequence_in_the_file_meta_is_refused(vr: bytes) -> None:
    hostile = meta(more=element(0x00020002, b"UI", b"1.2") + element(0x00020005, vr, length=UNDEFINED) + ITEM * 300)
    with pytest.raises(DicomBroken, match="file meta has a sequence"):
        read_header(hostile + identity(), whole=True, limit=100_000)


@pytest.mark.parametrize("tags", [range(2000, 0, -1), [*range(1000), *[1] * 1100]], ids=["falling", "the same"])
@pytest.mark.parametrize("within", [b"", element(0x00081115, b"SQ", length=UNDEFINED) + ITEM], ids=["top", "item"])
def test_elements_out_of_order_are_counted(tags: list[int], within: bytes) -> None:
    """Orthanc inserts each into a list from its end: a megabyte of them would cost it half a minute."""
    data = b"".join(element(0x00090000 + tag, b"LO") for tag in tags)
    with pytest.raises(DicomBroken, match="out of order"):
        walked(within + data)
    walked(within + data[: 1000 * 8])


def test_items_begin_anew() -> None:
    item = ITEM + element(0x00081150, b"UI", b"1.2") + element(0x00081155, b"UI", b"1.2") + ITEM_END
    walked(element(0x00081115, b"SQ", length=UNDEFINED) + item * 2000 + SEQUENCE_END + identity())
