"""The transfer syntaxes that are taken, and the UIDs that are usable."""

from typing import Any

import pytest
from pydantic import ValidationError
from pydicom.uid import UID, AllTransferSyntaxes, JPEG2000Lossless

from services.upload_service.dicom import Header, read_header
from services.upload_service.errors import SyntaxRefused, TagsMissing
from services.upload_service.file_meta import read_file_meta
from services.upload_service.settings import Settings
from services.upload_service.syntaxes import TAKEN, must_be_taken
from services.upload_service.uids import usable_class, usable_instance
from tests import dicom_files
from tests.unit.dicom_bytes import dicom, element, identity, meta
from tests.unit.settings import SHARED

JPIP = "1.2.840.10008.1.2.4.94"


def settings(**more: Any) -> Settings:
    return Settings(**{**SHARED, **more})


def gate(content: bytes, taken: frozenset[str]) -> Header | None:
    return read_header(content, whole=True, limit=100_000, syntaxes=taken)


def test_every_real_file_is_in_one_that_is_taken() -> None:
    metas = [read_file_meta(dicom_files.content(name), whole=True) for name in dicom_files.names()]
    assert {meta.syntax for meta in metas if meta} - {""} <= TAKEN.keys()
    assert len({meta.syntax for meta in metas if meta}) > 10


def test_taken_are_those_that_pydicom_knows_less_what_is_no_file_of_images() -> None:
    left_out = {str(uid) for uid in AllTransferSyntaxes} - TAKEN.keys()
    assert {UID(uid).name.split()[0] for uid in left_out} == {"JPIP", "SMPTE"}


@pytest.mark.parametrize("uid", [JPIP, "1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.7.1", "1.2.840.10008.1.2.6.1"])
def test_another_one_is_refused_with_its_uid_and_name(uid: str) -> None:
    with pytest.raises(SyntaxRefused) as refused:
        gate(meta(uid.encode()) + identity(), settings().syntaxes)
    assert refused.value.status == 415
    for language in ("en", "fr"):
        assert f"{uid} ({UID(uid).name})" in refused.value.sentence(language)


@pytest.mark.parametrize("uid", ["1.3.6.1.4.1.5962.300.1", "1.2.840.113619.5.2"])
def test_one_that_nobody_knows_is_named_by_its_uid(uid: str) -> None:
    with pytest.raises(SyntaxRefused, match=uid.replace(".", r"\.")):
        must_be_taken(uid, settings().syntaxes)


@pytest.mark.parametrize("junk", ["<script>", "DOE^JANE", "1" * 65, "1.2.840.10008.1.2.1\\1.2"])
def test_what_is_no_uid_is_not_repeated(junk: str) -> None:
    with pytest.raises(SyntaxRefused) as refused:
        must_be_taken(junk, settings().syntaxes)
    assert junk not in refused.value.sentence("en")


def test_none_named_is_left_to_orthanc() -> None:
    bare = b"\0" * 128 + b"DICM" + element(0x00020002, b"UI", b"1.2.840.10008.5.1.4.1.1.7")
    assert gate(bare + identity(), settings().syntaxes)


def test_a_setting_narrows_and_another_widens() -> None:
    file = meta(str(JPEG2000Lossless).encode()) + identity()
    assert gate(file, settings().syntaxes)
    with pytest.raises(SyntaxRefused):
        gate(file, settings(syntaxes_refused=[str(JPEG2000Lossless)]).syntaxes)
    assert gate(meta(JPIP.encode()) + identity(), settings(syntaxes_added=[JPIP]).syntaxes)
    with pytest.raises(ValidationError, match="is no UID"):
        settings(syntaxes_added=["JPEG"])


@pytest.mark.parametrize("uid", ["1.2.3", "0.1", "1", "2.25." + "9" * 38, "1" * 64])
def test_uids_by_the_rules(uid: str) -> None:
    assert usable_instance(uid)
    assert usable_class(uid)


@pytest.mark.parametrize("uid", ["", ".", "1.", ".1", "1..2", "1.2a", "1 .2", "-1.2", "1,2", "1" * 65, "1.٢", "1.2\n"])
def test_uids_against_the_rules(uid: str) -> None:
    assert not usable_instance(uid)
    assert not usable_class(uid)


@pytest.mark.parametrize("uid", ["1.02.3", "1.2.00", "01.2"])
def test_leading_zeros_are_taken_of_devices_not_of_standards(uid: str) -> None:
    assert usable_instance(uid)
    assert not usable_class(uid)
    file = dicom(SOPInstanceUID=uid, StudyInstanceUID=uid, SeriesInstanceUID=uid)
    assert gate(file, settings().syntaxes)
    with pytest.raises(TagsMissing, match="SOPClassUID"):
        gate(dicom(SOPClassUID=uid), settings().syntaxes)
