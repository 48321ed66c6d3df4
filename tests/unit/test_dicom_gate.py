"""The DICOM gate on files as they come: what it reads of sound ones, and what it says of broken ones."""

import pytest
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from services.upload_service.dicom import Header, read_header, text_of
from services.upload_service.errors import DicomBroken, HeaderTooLarge, NotDicom, TagsMissing
from tests import dicom_files
from tests.unit.dicom_bytes import DEFLATED, IDENTITY, dicom, element, identity, meta, nested

LIMIT = 1_000_000


def header_of(content: bytes) -> Header:
    header = read_header(content, whole=True, limit=LIMIT)
    assert header is not None
    return header


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"\x89PNG\r\n" + b"\0" * 1000,
        b"\0" * 128 + b"DIC",
        b"\0" * 128 + b"dicm" + b"\0" * 100,
        b"DICM" + b"\0" * 200,
        b"PK\x03\x04" + b"\0" * 200,
    ],
)
def test_what_has_no_dicm_at_byte_128_is_not_dicom(content: bytes) -> None:
    for whole in (True, False):
        with pytest.raises(NotDicom, match="no 'DICM' at byte 128"):
            read_header(content, whole=whole, limit=LIMIT)


def test_a_tiff_preamble_is_no_trouble() -> None:
    header = header_of(b"II*\0" + dicom()[4:])
    assert text_of(header.tags, "SOPInstanceUID") == "1.2.3.4.5.6.1"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "CT_small.dcm",
            {
                "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
                "SOPInstanceUID": "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322",
                "StudyInstanceUID": "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322",
                "SeriesInstanceUID": "1.3.6.1.4.1.5962.1.3.1.1.20040119072730.12322",
                "Modality": "CT",
                "AcquisitionDate": "19970430",
            },
        ),
        (
            "MR_small_bigendian.dcm",
            {"SOPInstanceUID": "1.3.6.1.4.1.5962.1.1.4.1.1.20040826185059.5457", "Modality": "MR"},
        ),
        (
            "MR_small_implicit.dcm",
            {"SOPInstanceUID": "1.3.6.1.4.1.5962.1.1.4.1.1.20040826185059.5457", "Modality": "MR"},
        ),
        ("image_dfl.dcm", {"SOPInstanceUID": "1.3.6.1.4.1.5962.1.1.0.0.0.977067309.6001.0", "Modality": "OT"}),
        ("JPEG2000.dcm", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "Modality": "NM"}),
        ("rtplan.dcm", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.5", "Modality": "RTPLAN"}),
    ],
)
def test_real_files_pass_with_what_stands_in_them(name: str, expected: dict[str, str]) -> None:
    header = header_of(dicom_files.content(name))
    assert {tag: text_of(header.tags, tag) for tag in expected} == expected


@pytest.mark.parametrize("name", sorted(IDENTITY))
def test_each_mandatory_tag_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(TagsMissing) as refused:
        header_of(dicom(without=[name]))
    assert [error.field for error in refused.value.errors] == [name]
    assert name in refused.value.sentence("en")
    assert name in refused.value.sentence("fr")


def test_all_that_are_missing_are_named_at_once() -> None:
    with pytest.raises(TagsMissing) as refused:
        header_of(dicom(without=["StudyInstanceUID", "SOPInstanceUID"]))
    assert [error.field for error in refused.value.errors] == ["SOPInstanceUID", "StudyInstanceUID"]


@pytest.mark.parametrize("value", [b"", b"  ", b"\0\0", b"1..2", b"1.2.", b".1", b"1.2 3", b"abc", b"1" * 66])
def test_an_unusable_uid_is_a_missing_one(value: bytes) -> None:
    others = identity().replace(element(0x0020000D, b"UI", IDENTITY["StudyInstanceUID"].encode()), b"")
    with pytest.raises(TagsMissing) as refused:
        header_of(meta() + others + element(0x0020000D, b"UI", value))
    assert [error.field for error in refused.value.errors] == ["StudyInstanceUID"]


def test_a_uid_of_64_characters_padded_with_a_blank_is_usable() -> None:
    uid = "1.2." + "3" * 60
    assert text_of(header_of(dicom(SeriesInstanceUID=uid)).tags, "SeriesInstanceUID") == uid
    spaced = meta() + identity().replace(b"1.2.3.4.5.6.1\0", b"1.2.3.4.5.6.1 ")
    assert text_of(header_of(spaced).tags, "SOPInstanceUID") == "1.2.3.4.5.6.1"


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_native_pixels_tell_how_long_the_file_must_be(syntax: UID) -> None:
    content = dicom(syntax, pixels=b"p" * 3000)
    assert header_of(content).least_size == len(content)
    assert header_of(content + b"\0" * 20).least_size == len(content)


def test_encapsulated_pixels_are_left_to_orthanc() -> None:
    fragments = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0\xff\x4f\xff\x51\xfe\xff\xdd\xe0\0\0\0\0"
    content = (
        meta(str(JPEG2000Lossless).encode()) + identity() + element(0x7FE00010, b"OB", length=0xFFFFFFFF) + fragments
    )
    assert header_of(content).least_size == 0
    assert header_of(content[:-12]).least_size == 0


@pytest.mark.parametrize("depth", [1, 16])
def test_sequences_before_the_pixels_are_passed_over(depth: int) -> None:
    content = meta() + nested(depth) + identity() + element(0x7FE00010, b"OB", b"pixels")
    header = header_of(content)
    assert header.least_size == len(content)
    assert text_of(header.tags, "StudyInstanceUID") == "1.2.3.4.5.6.2"


def test_text_in_the_files_character_set() -> None:
    header = header_of(dicom(SpecificCharacterSet="ISO_IR 100", AccessionNumber="Hôpital-7"))
    assert text_of(header.tags, "AccessionNumber") == "Hôpital-7"


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_value_is_none_as_an_absent_one_is(value: str) -> None:
    assert text_of(header_of(dicom(Modality=value)).tags, "Modality") is None
    assert text_of(header_of(dicom()).tags, "Modality") is None


def test_a_header_that_streams_in_asks_for_more_until_the_pixels_begin() -> None:
    content = dicom(PatientComments="c" * 500, pixels=b"p" * 50_000)
    pixels_begin = len(content) - 50_000
    asked = [size for size in range(132, pixels_begin + 20, 8) if _asks_for_more(content[:size])]
    assert asked == list(range(132, pixels_begin, 8))
    header = read_header(content[:pixels_begin], whole=False, limit=LIMIT)
    assert header is not None
    assert header.least_size == len(content)


def _asks_for_more(begin: bytes) -> bool:
    return read_header(begin, whole=False, limit=LIMIT) is None


def test_a_header_over_the_limit_is_refused_with_the_limit() -> None:
    content = dicom(PatientComments="c" * 9000)
    assert read_header(content[:4999], whole=False, limit=5000) is None
    with pytest.raises(HeaderTooLarge, match="5000 bytes"):
        read_header(content[:5000], whole=False, limit=5000)


def test_a_broken_header_is_refused_in_words() -> None:
    with pytest.raises(DicomBroken, match="cannot be inflated"):
        header_of(meta(DEFLATED) + b"\xff" * 50)


@pytest.mark.parametrize("charset", ["DOE^JANE", "ISO_IR 1\0", "utf-8", "ISO_IR 100\\DOE^JANE"])
def test_a_character_set_that_nobody_knows_is_none_and_not_told_in_the_log(
    charset: str, caplog: pytest.LogCaptureFixture
) -> None:
    content = meta() + element(0x00080005, b"CS", charset.encode()) + element(0x00080050, b"SH", b"ACC-7") + identity()
    header = header_of(content)
    assert text_of(header.tags, "AccessionNumber") == "ACC-7"
    assert caplog.text == ""
