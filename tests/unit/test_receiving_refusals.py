"""What stops an upload short: the gate, the form, the caller's scopes, Orthanc."""

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from services.upload_service.errors import (
    CutOff,
    FileEmpty,
    FileMissing,
    FileTooLarge,
    FormBroken,
    HeaderTooLarge,
    NotDicom,
    TagsMissing,
)
from services.upload_service.receiving import PIECE
from shared.errors import OrthancAway, Problem, ScopeMissing, StorageFull, StoreRefused
from tests.unit.dicom_bytes import (
    dicom,
    element,
    identity,
    meta,
)
from tests.unit.multipart import file_part, form, part
from tests.unit.orthanc_double import OrthancDouble
from tests.unit.receiving import ALICE, BUFFERED, COMMENTS, NOISE, WRITER, receive, refused


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", FileEmpty),
        (b"not dicom", NotDicom),
        (b"\x89PNG" + NOISE, NotDicom),
        (dicom(without=["SOPInstanceUID"]), TagsMissing),
        (dicom(without=["SOPInstanceUID"], pixels=NOISE), TagsMissing),
        (dicom(pixels=b"p" * 500)[:-1], CutOff),
        (dicom(ExplicitVRLittleEndian, **dict.fromkeys(COMMENTS, "c" * 60_000), pixels=NOISE), HeaderTooLarge),
        (meta() + identity() + element(0x00290010, b"OB", b"x" * 20_000, length=10**8), CutOff),
    ],
)
async def test_what_the_gate_refuses_never_reaches_orthanc(content: bytes, kind: type[Problem]) -> None:
    orthanc = OrthancDouble()
    await refused(form(file_part(content)), orthanc, kind)
    assert orthanc.cut_off == []


async def test_a_file_cut_off_in_its_pixels_is_cut_off_for_orthanc_too() -> None:
    content, orthanc = dicom(pixels=NOISE), OrthancDouble()
    await refused(form(file_part(content[:-1])), orthanc, CutOff)
    assert len(orthanc.cut_off) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (form(file_part(dicom(pixels=NOISE)))[:-9], FormBroken),
        (form(file_part(dicom(pixels=NOISE)))[: -PIECE - 9], FormBroken),
        (form(file_part(dicom(pixels=NOISE)), part("examenID", b"x" * 37)), FormBroken),
    ],
)
async def test_a_form_that_fails_while_the_file_flows_cuts_it_off(body: bytes, kind: type[Problem]) -> None:
    orthanc = OrthancDouble()
    await refused(body, orthanc, kind)
    assert len(orthanc.cut_off) == 1


async def test_a_file_over_the_limit_is_cut_off() -> None:
    orthanc = OrthancDouble()
    await refused(form(file_part(dicom(pixels=NOISE))), orthanc, FileTooLarge, limit=len(NOISE))
    assert len(orthanc.cut_off) == 1
    assert len(orthanc.cut_off[0]) <= len(NOISE)


async def test_a_form_without_a_file() -> None:
    await refused(form(part("examenID", b"EX-1")), OrthancDouble(), FileMissing)


@pytest.mark.parametrize("content", [dicom(pixels=b"p" * 500), dicom(pixels=NOISE)], ids=["small", "large"])
@pytest.mark.parametrize("before", [True, False], ids=["field before", "field after"])
async def test_an_exam_without_the_scope_is_refused_before_the_store_ends(content: bytes, before: bool) -> None:  # noqa: FBT001
    exam, orthanc = part("examenID", b"EX-1"), OrthancDouble()
    body = form(exam, file_part(content)) if before else form(file_part(content), exam)
    await refused(body, orthanc, ScopeMissing, caller=ALICE)
    assert len(orthanc.cut_off) == (1 if len(content) > BUFFERED else 0)
    await receive(body, orthanc, caller=WRITER)
    assert orthanc.stored == [content]


@pytest.mark.parametrize("fields", [[], [part("examenID", b"")], [part("description", b"thorax")]])
async def test_without_an_exam_the_upload_scope_is_enough(fields: list[bytes]) -> None:
    orthanc = OrthancDouble()
    await receive(form(file_part(dicom()), *fields), orthanc, caller=ALICE)
    assert orthanc.stored == [dicom()]


@pytest.mark.parametrize("refusal", [StoreRefused(), StorageFull(), OrthancAway()])
async def test_what_orthanc_says_in_the_middle_of_a_file_is_what_is_said(refusal: Problem) -> None:
    orthanc = OrthancDouble(refuses_after=PIECE, refusal=refusal)
    await refused(form(file_part(dicom(pixels=NOISE))), orthanc, type(refusal))
