"""A data set that is deflated, or not written as its transfer syntax says; and one that is large without pixels."""

import random
import tracemalloc

import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from services.upload_service.dicom import read_header
from services.upload_service.errors import DicomBroken, HeaderTooLarge, InflatesTooFar
from services.upload_service.without_pixels import FLOWS_FROM, has_no_pixels
from tests import dicom_files
from tests.unit.dicom_bytes import DEFLATED, deflated, dicom, element, identity, meta, nested

MIB = 1024 * 1024
LIMIT = 8 * MIB
PIXELS = element(0x7FE00010, b"OB", b"\0" * 20 * MIB)
STRUCTURES = "1.2.840.10008.5.1.4.1.1.481.3"


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("pixels", [PIXELS, element(0x00400001, b"OB", b"\0" * 20 * MIB)], ids=["pixels", "header"])
def test_a_bomb_ends_at_its_cap_wherever_it_lies(pixels: bytes, whole: bool) -> None:  # noqa: FBT001
    bomb = meta(DEFLATED) + deflated(identity() + pixels)
    assert len(bomb) < 50_000
    tracemalloc.start()
    try:
        with pytest.raises(InflatesTooFar, match="comes to more than the 10000000 bytes"):
            read_header(bomb, whole=whole, limit=LIMIT, inflated_limit=10_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB  # a piece of it at a time
    assert read_header(bomb, whole=True, limit=LIMIT, inflated_limit=30 * MIB)


def test_what_flows_is_inflated_and_walked_through_as_it_flows() -> None:
    noise = random.Random(4).randbytes(300_000)
    packed = meta(DEFLATED) + deflated(identity() + element(0x7FE00010, b"OB", noise) + nested(40))
    header = read_header(packed[:100_000], whole=False, limit=LIMIT)
    assert header
    assert not header.rest.passes_over(1)
    with pytest.raises(DicomBroken, match="nested"):
        header.rest.feed(packed[100_000:])
    short = read_header(packed[:100_000], whole=False, limit=LIMIT, inflated_limit=200_000)
    assert short
    with pytest.raises(InflatesTooFar):
        short.rest.feed(packed[100_000:])


@pytest.mark.parametrize(
    ("said", "written"),
    [
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
        (ExplicitVRBigEndian, ImplicitVRLittleEndian),
    ],
)
def test_a_data_set_that_is_not_in_its_transfer_syntax_is_refused(said: str, written: str) -> None:
    content = dicom(written)  # type: ignore[arg-type]
    assert read_header(content, whole=True, limit=LIMIT)
    data_set = content[content.index(b"\x08\0\x16\0") :]
    with pytest.raises(DicomBroken, match="not written in its transfer syntax"):
        read_header(meta(said.encode()) + data_set, whole=True, limit=LIMIT)


def test_the_one_real_file_that_is_not_is_one_that_orthanc_refuses() -> None:
    with pytest.raises(DicomBroken, match="not written in its transfer syntax"):
        read_header(dicom_files.content("SC_rgb_jpeg.dcm"), whole=True, limit=LIMIT)


def without_pixels(sop_class: str, size: int = 10 * MIB) -> bytes:
    return dicom(SOPClassUID=sop_class)[:-2] + b"3\0" + element(0x30060039, b"OB", b"c" * size)


def test_a_large_file_without_pixels_flows_once_its_tags_were_read() -> None:
    content = without_pixels(STRUCTURES)
    assert read_header(content[:FLOWS_FROM], whole=False, limit=LIMIT) is None
    header = read_header(content[: FLOWS_FROM + 1000], whole=False, limit=LIMIT)
    assert header
    assert header.pixels_at == content.index(b"\x06\x30\x39\0OB")
    later = read_header(content[: 3 * MIB], whole=False, limit=LIMIT)
    assert later
    assert later.pixels_at == header.pixels_at
    assert header.rest.cut_off
    header.rest.feed(content[FLOWS_FROM + 1000 :])
    assert not header.rest.cut_off
    with pytest.raises(DicomBroken):
        header.rest.feed(nested(40))


def test_the_header_of_an_image_may_still_not_be_larger_than_its_limit() -> None:
    content = without_pixels("1.2.840.10008.5.1.4.1.1.2")
    assert read_header(content[: LIMIT - 1], whole=False, limit=LIMIT) is None
    with pytest.raises(HeaderTooLarge):
        read_header(content[:LIMIT], whole=False, limit=LIMIT)


def test_a_large_element_before_the_tags_that_are_read_is_too_large_in_any_file() -> None:
    structures = element(0x00080016, b"UI", STRUCTURES.encode())
    content = meta() + structures + element(0x00090010, b"OB", b"p" * 10 * MIB) + identity()
    assert read_header(content[: 2 * MIB], whole=False, limit=LIMIT) is None
    with pytest.raises(HeaderTooLarge):
        read_header(content[:LIMIT], whole=False, limit=LIMIT)


@pytest.mark.parametrize("sop_class", ["66.4", "2", "481.2", "481.1", "7", "481.23", "4", "4.20"])
def test_images_have_pixels(sop_class: str) -> None:
    assert not has_no_pixels("1.2.840.10008.5.1.4.1.1." + sop_class)
    assert not has_no_pixels("1.3.6.1.4.1.5962.1." + sop_class)


@pytest.mark.parametrize("sop_class", ["481.3", "104.1", "88.11", "9.1.1", "66", "66.5", "4.2", "11.1"])
def test_these_have_none(sop_class: str) -> None:
    assert has_no_pixels("1.2.840.10008.5.1.4.1.1." + sop_class)
