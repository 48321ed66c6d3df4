"""Files that stop before they should: each is refused by the gate, whatever it was cut off in."""

import struct

import pytest
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from services.upload_service.dicom import read_header
from services.upload_service.errors import CutOff, DicomBroken, NotDicom, TagsMissing
from shared.errors import Problem
from tests import dicom_files
from tests.unit.dicom_bytes import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, dicom, element, identity, meta

LIMIT = 1_000_000
SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
SEQUENCE = element(0x00081115, b"SQ", length=UNDEFINED)


def refusal(content: bytes) -> Problem | None:
    """What the gate says against a whole file; None where it lets it pass."""
    try:
        read_header(content, whole=True, limit=LIMIT)
    except Problem as problem:
        return problem
    return None


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("missing", [1, 2, 10, 2999])
def test_cut_off_in_native_pixels(syntax: UID, missing: int) -> None:
    content = dicom(syntax, pixels=b"p" * 3000)
    assert refusal(content) is None
    cut = refusal(content[:-missing])
    assert isinstance(cut, DicomBroken)
    assert "it ends too early" in str(cut)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"])
def test_real_images_cut_in_half(name: str) -> None:
    content = dicom_files.content(name)
    assert isinstance(refusal(content[: len(content) // 2]), DicomBroken)


def test_the_truncated_file_that_pydicom_ships() -> None:
    assert isinstance(refusal(dicom_files.content("rtplan_truncated.dcm")), DicomBroken)


@pytest.mark.parametrize("kept", [1, 10, 99])
def test_cut_off_in_a_value_of_the_header(kept: int) -> None:
    content = meta() + identity() + element(0x00204000, b"LT", b"c" * 100)
    assert isinstance(refusal(content[: -100 + kept]), DicomBroken)


def test_cut_off_in_the_head_of_an_element() -> None:
    content = meta() + identity() + element(0x00204000, b"LT", b"c" * 100)
    taken = [kept for kept in range(1, 8) if not isinstance(refusal(content[: -108 + kept]), DicomBroken)]
    assert taken == []


@pytest.mark.parametrize(
    "sequence",
    [
        SEQUENCE,
        SEQUENCE + ITEM,
        SEQUENCE + ITEM + element(0x00081150, b"UI", b"1.2"),
        SEQUENCE + ITEM + element(0x00081150, b"UI", b"1.2", length=400),
        SEQUENCE + ITEM + ITEM_END,
        SEQUENCE + ITEM + SEQUENCE + ITEM + ITEM_END + SEQUENCE_END[:5],
        SEQUENCE + ITEM + SEQUENCE + ITEM + ITEM_END + SEQUENCE_END,
        element(0x00081115, b"SQ", ITEM, length=4000),
    ],
)
def test_cut_off_in_a_sequence(sequence: bytes) -> None:
    assert isinstance(refusal(meta() + identity() + sequence), DicomBroken)


def test_wherever_the_mandatory_part_is_cut_off_the_gate_refuses() -> None:
    content = meta() + identity()
    ends = {size: type(refusal(content[:size])) for size in range(len(content))}
    assert {size for size, kind in ends.items() if kind is NotDicom} == set(range(132))
    assert {kind for size, kind in ends.items() if size >= 132} == {CutOff, DicomBroken, TagsMissing}
    assert refusal(content) is None


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0xFFFFFFFE, 1_000_000])
@pytest.mark.parametrize("tag", [0x00290010, 0x7FE00010])
def test_a_length_beyond_the_end(tag: int, length: int) -> None:
    assert isinstance(refusal(meta() + identity() + element(tag, b"OB", b"xx", length=length)), DicomBroken)


def test_a_length_that_swallows_mandatory_tags_leaves_them_missing() -> None:
    swallowed = element(0x00290010, b"OB", b"", length=len(identity())) + identity()
    problem = refusal(meta() + swallowed)
    assert isinstance(problem, TagsMissing)
    assert len(problem.errors) == 4


def test_a_group_length_that_lies_is_no_trouble() -> None:
    """As long as it ends with an element, as where it was not counted anew when another was added."""
    right = len(meta()) - 144
    assert refusal(_with_group_length(right)) is None
    assert refusal(_with_group_length(0)) is None


@pytest.mark.parametrize("length", [1, 8, 5_000, 100_000, 0x7FFFFFFF, 0xFFFFFFFE])
def test_a_group_length_that_ends_within_an_element_is_refused(length: int) -> None:
    """Orthanc makes room for so many bytes, 4 GB in 11 s; where 8 of them are left, it looks at them for ever."""
    assert isinstance(refusal(_with_group_length(length)), DicomBroken)


def _with_group_length(length: int) -> bytes:
    group_length, content = element(0x00020000, b"UL", struct.pack("<I", length)), meta() + identity()
    return content[:132] + group_length + content[132 + len(group_length) :]
