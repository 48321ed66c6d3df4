"""When two files are the same image: whatever file meta and padding say, and only if the data sets are equal."""

from collections.abc import Callable
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from services.upload_service.dicom import Header, read_header
from services.upload_service.fingerprint import Fingerprint
from tests import dicom_files
from tests.unit.dicom_bytes import element, identity, meta

NATIVE, ENCAPSULATED, REPORT = "CT_small.dcm", "MR_small_RLE.dcm", "reportsi.dcm"
LARGE, LARGE_JPEG = "examples_overlay.dcm", "examples_ybr_color.dcm"  # more than is held back for the padding
PADDING = b"\xfc\xff\xfc\xffOB\0\0\x80\0\0\0" + bytes(128)


def of(content: bytes, piece: int = 100_000) -> Fingerprint:
    """Fed in pieces, as a stream is; the header was read from the whole."""
    header = read_header(content, whole=True, limit=10_000_000)
    assert header is not None
    begin = content[: header.pixels_at]
    found = Fingerprint(begin, header)
    for at in range(len(begin), len(content), piece):
        found.feed(content[at : at + piece])
    return found


def rewritten(name: str, change: Callable[[Dataset], None]) -> bytes:
    """The file with a change, and with file meta information of another writer, as C-STORE gives it."""
    data = dcmread(dicom_files.FOLDER / name)
    data.file_meta.ImplementationVersionName = "ANOTHER_WRITER"
    data.file_meta.SourceApplicationEntityTitle = "STORESCU"
    change(data)
    file = BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.mark.parametrize("name", [NATIVE, ENCAPSULATED, REPORT, "MR_small_implicit.dcm", LARGE, LARGE_JPEG])
@pytest.mark.parametrize("piece", [1000, 100_000])
def test_another_file_meta_makes_no_other_image(name: str, piece: int) -> None:
    again = rewritten(name, lambda _data: None)
    assert again != dicom_files.content(name)
    assert of(dicom_files.content(name), piece).differing(of(again)) == []


@pytest.mark.parametrize("name", [NATIVE, ENCAPSULATED])
def test_trailing_padding_makes_no_other_image(name: str) -> None:
    def unpadded(data: Dataset) -> None:
        data.pop(0xFFFCFFFC, None)

    bare = rewritten(name, unpadded)
    assert of(bare).differing(of(bare + PADDING)) == []
    assert of(bare + PADDING).differing(of(bare)) == []


def test_a_changed_value_is_named_by_its_keyword() -> None:
    def change(data: Dataset) -> None:
        data.PatientName = "Another^Person"
        data.StudyID = "77"
        del data.Manufacturer

    other = rewritten(NATIVE, change)
    assert of(dicom_files.content(NATIVE)).differing(of(other)) == ["Manufacturer", "PatientName", "StudyID"]


@pytest.mark.parametrize("name", [NATIVE, ENCAPSULATED, LARGE, LARGE_JPEG])
@pytest.mark.parametrize("at", [20, -40])
def test_one_changed_pixel_is_another_image(name: str, at: int) -> None:
    def change(data: Dataset) -> None:
        data.pop(0xFFFCFFFC, None)
        pixels = bytearray(data.PixelData)
        pixels[at] ^= 1
        data.PixelData = bytes(pixels)

    assert of(dicom_files.content(name)).differing(of(rewritten(name, change))) == ["PixelData"]


def test_a_value_in_a_report_is_named() -> None:
    other = rewritten(REPORT, lambda data: setattr(data, "VerificationFlag", "UNSURE"))
    assert of(dicom_files.content(REPORT)).differing(of(other)) == ["VerificationFlag"]


def test_a_character_set_that_cannot_be_read_is_compared_as_it_stands() -> None:
    one = meta() + element(0x00080005, b"CS", b"ISO_IR 1\0\0x") + identity() + element(0x7FE00010, b"OB", b"pp")
    other = one.replace(b"1.2.3.4.5.6.3", b"1.2.3.4.5.6.4")
    prints = [Fingerprint(content, header) for content in (one, one, other) if (header := _header(content))]
    assert prints[0].differing(prints[1]) == []
    assert prints[0].differing(prints[2]) == ["?"]


def _header(content: bytes) -> Header | None:
    return read_header(content, whole=True, limit=100_000)
