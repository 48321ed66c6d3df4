"""What stands before `DICM`: TIFF and anything harmless pass, what makes something else of the file is named."""

import pytest

from services.upload_service.dicom import read_header
from services.upload_service.errors import NotDicom, PreambleActive
from services.upload_service.preamble import refuse_active
from tests import dicom_files
from tests.unit.dicom_bytes import dicom

ACTIVE = [
    (b"PK\x03\x04", "ZIP"),
    (b"PK\x05\x06", "ZIP"),
    (b"PKjunk that Orthanc would try to unpack", "ZIP"),
    (b"MZ\x90\0", "PE"),
    (b"\x7fELF\2\1\1", "ELF"),
    (b"\xcf\xfa\xed\xfe", "Mach-O"),
    (b"\xca\xfe\xba\xbe", "Java"),
    (b"#!/bin/sh\n", "script"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"Rar!\x1a", "RAR"),
    (b"%PDF-1.7\n", "PDF"),
    (b"\0" * 60 + b"%PDF-1.7\n", "PDF"),
    (b"II*\0%PDF-1.4", "PDF"),
    (b"<html>", "HTML"),
    (b"<!DOCTYPE html>", "HTML"),
    (b" \n\t<ScRiPt>", "HTML"),
    (b"\xef\xbb\xbf<?xml version='1.0'?>", "HTML"),
    (b"<svg onload=alert(1)>", "HTML"),
    (b"<?php system($_GET['c']);?>", "HTML"),
    (b"<!--", "HTML"),
    (b"II*\0" + b"\0" * 20 + b"<script>alert(1)</script>", "HTML"),
    (b"GIF89a/*<script>*/", "HTML"),
]
HARMLESS = [
    b"",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"II+\0\x08\0\0\0",
    b"written by a modality",
    b"a < b",
    b"\xff" * 128,
    bytes(range(128)),
]


@pytest.mark.parametrize(("beginning", "name"), ACTIVE)
def test_what_begins_like_another_format_is_refused_by_its_name(beginning: bytes, name: str) -> None:
    content = dicom()
    with pytest.raises(PreambleActive) as refused:
        read_header(beginning + content[len(beginning) :], whole=True, limit=10_000)
    assert name in refused.value.sentence("en")
    assert name in refused.value.sentence("fr")


@pytest.mark.parametrize("beginning", HARMLESS)
def test_what_does_nothing_passes(beginning: bytes) -> None:
    assert read_header(beginning + dicom()[len(beginning) :], whole=True, limit=10_000)


def test_the_preambles_of_real_files_pass() -> None:
    for name in dicom_files.names():
        refuse_active(dicom_files.content(name)[:128])


def test_what_is_no_dicom_at_all_is_told_so() -> None:
    with pytest.raises(NotDicom):
        read_header(b"PK\x03\x04" + b"\0" * 500, whole=True, limit=10_000)
