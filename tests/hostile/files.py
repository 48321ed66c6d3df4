"""Files made to hurt, each with the refusal that it must end in. Made by code: none is kept."""

import functools
import struct
import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO

from tests.dicom_files import fresh, fresh_uid
from tests.unit.dicom_bytes import (
    DEFLATED,
    IDENTITY,
    ITEM,
    SEQUENCE_END,
    UNDEFINED,
    deflated,
    dicom,
    element,
    identity,
    meta,
    nested,
    nested_with_lengths,
)

MIB = 1024 * 1024
PIXELS = element(0x7FE00010, b"OB", b"p" * 1000)
FRAGMENT = struct.pack("<HHI", 0xFFFE, 0xE000, 4) + b"frag"
ENCAPSULATED = element(0x7FE00010, b"OB", length=UNDEFINED) + FRAGMENT * 3 + SEQUENCE_END
DICOMDIR = b"1.2.840.10008.1.3.10"
BROKEN, MISSING, SYNTAX = (400, "dicom-broken"), (400, "tags-missing"), (415, "transfer-syntax-refused")
ACTIVE, DIRECTORY = (400, "preamble-active"), (400, "dicomdir-refused")


@dataclass(frozen=True)
class Hostile:
    """One file, and the answer: status and code of the problem."""

    content: bytes
    status: int
    code: str


@functools.cache
def corpus(limit: int) -> dict[str, Hostile]:
    """All of them; `limit` is the largest file taken."""
    found = _no_dicom() | _preambles() | _nested() | _lengths() | _bombs() | _other_kinds() | _hidden()
    found["over the limit"] = (dicom(pixels=b"p" * (limit + 2 * MIB)), (413, "file-too-large"))
    return {name: Hostile(content, *refusal) for name, (content, refusal) in found.items()}


Found = dict[str, tuple[bytes, tuple[int, str]]]


def _no_dicom() -> Found:
    not_dicom = (400, "not-dicom")
    return {
        "0 bytes": (b"", (400, "file-empty")),
        "131 bytes": (bytes(128) + b"DIC", not_dicom),
        "zeros": (bytes(100_000), not_dicom),
        "a ZIP archive": (_zip(), not_dicom),
        "a ZIP bomb": (_zip(bytes(50 * MIB)), not_dicom),
        "gzip": (zlib.compress(bytes(MIB), wbits=31), not_dicom),
        "only a preamble": (bytes(128) + b"DICM", MISSING),
    }


def _zip(content: bytes = b"x") -> bytes:
    written = BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../etc/passwd", content)
    return written.getvalue()


def _preambles() -> Found:
    beginnings = {
        "ZIP": b"PK\x03\x04\x14\0\0\0\x08\0",
        "an empty ZIP": b"PK\x05\x06" + bytes(18),
        "PE": b"MZ\x90\0\x03",
        "ELF": b"\x7fELF\x02\x01\x01",
        "Mach-O": b"\xcf\xfa\xed\xfe\x07",
        "a script": b"#!/bin/sh\nexec sh\n",
        "HTML": b"<html><script src=//evil.test/x.js></script>",
        "HTML behind blanks": b"\r\n\t <ScRiPt>alert(1)</script>",
        "SVG": b'<?xml version="1.0"?><svg onload="alert(1)"/>',
        "PHP": b"<?php system($_GET[0]); __halt_compiler();",
        "PDF": b"%PDF-1.7\n1 0 obj\n",
        "PDF behind TIFF": b"II*\0\x08\0\0\0%PDF-1.7",
        "a GIF with a script": b"GIF89a/*<script>*/=1;",
    }
    content = fresh("CT_small.dcm")
    found = {f"preamble: {name}": (begin + content[len(begin) :], ACTIVE) for name, begin in beginnings.items()}
    archive = _zip()
    found["polyglot: ZIP and DICOM"] = (b"PK\x03\x04" + bytes(124) + content[128:] + archive, ACTIVE)
    return found


def _nested() -> Found:
    found: Found = {"nested 50,000 deep": (meta() + identity() + nested(50_000), BROKEN)}
    for name, make in {"by delimiters": nested, "by lengths": nested_with_lengths}.items():
        deep = make(400)
        found |= {
            f"400 sequences {name}": (meta() + identity() + deep + PIXELS, BROKEN),
            f"400 sequences {name}, first of all": (meta() + deep + identity() + PIXELS, BROKEN),
            f"400 sequences {name} behind the pixels": (meta() + identity() + PIXELS + deep, BROKEN),
            f"400 sequences {name} behind fragments": (meta() + identity() + ENCAPSULATED + deep, BROKEN),
            f"400 sequences {name}, deflated": (meta(DEFLATED) + deflated(identity() + deep + PIXELS), BROKEN),
            f"400 sequences {name} in the file meta": (meta(more=deep) + identity() + PIXELS, BROKEN),
        }
    return found


def _hidden() -> Found:
    """Where a gate that reads otherwise than Orthanc would see none of the 400 sequences."""
    liar = ITEM + struct.pack("<HHI", 0x0008, 0x1150, 1_000_000)
    unknown = struct.pack("<HH2sHI", 0x0009, 0x1001, b"ZZ", 0, 4) + b"abcd"
    return {
        "hidden behind an item that lies": (
            meta() + identity() + element(0x00290010, b"UN", liar) + nested(400) + PIXELS,
            BROKEN,
        ),
        "hidden behind an unknown VR": (meta() + identity() + unknown + nested(400) + PIXELS, BROKEN),
        "hidden in a second study UID": (
            meta() + nested(1) + element(0x0020000D, b"SQ", nested_with_lengths(400)) + identity() + PIXELS,
            BROKEN,
        ),
    }


def _lengths() -> Found:
    found: Found = {}
    for name, length in {"4 GB": 0xFFFFFFFE, "2 GB": 0x7FFFFFFF}.items():
        found[f"a header of {name}"] = (meta() + identity() + element(0x00290010, b"OB", b"x", length=length), BROKEN)
        found[f"pixels of {name}"] = (meta() + identity() + element(0x7FE00010, b"OW", b"x", length=length), BROKEN)
        found[f"a sequence of {name}"] = (meta() + identity() + element(0x00081115, b"SQ", ITEM, length=length), BROKEN)
        told = element(0x00020000, b"UL", struct.pack("<I", length))
        found[f"a file meta that says {name}"] = (meta()[:132] + told + meta()[144:] + identity() + PIXELS, BROKEN)
        found[f"a file meta of {name}"] = (meta(more=element(0x00020102, b"OB", b"x", length=length)), BROKEN)
    found["a header of 9 MiB"] = (dicom(pixels=b"pp")[:300] + _long_header() + PIXELS, (400, "header-too-large"))
    falling = b"".join(element(0x00110000 + number, b"LO") for number in range(60_000, 0, -1))
    found["60,000 elements out of order"] = (meta() + identity() + falling + PIXELS, BROKEN)
    found["cut in half"] = (fresh("CT_small.dcm")[:20_000], BROKEN)
    return found


def _long_header() -> bytes:
    return identity() + element(0x00290010, b"OB", b"h" * 9 * MIB)


def _bombs() -> Found:
    far = (413, "inflates-too-far")
    pixels, comment = element(0x7FE00010, b"OB", bytes(80 * MIB)), element(0x00400001, b"OB", bytes(80 * MIB))
    items = element(0x00081115, b"SQ", length=UNDEFINED) + b"\xfe\xff\0\xe0\0\0\0\0" * 2 * MIB
    return {
        "a deflate bomb in the pixels": (meta(DEFLATED) + deflated(identity() + pixels), far),
        "a deflate bomb in the header": (meta(DEFLATED) + deflated(identity() + comment), far),
        "a deflate bomb of items": (meta(DEFLATED) + deflated(identity() + items), BROKEN),
        "deflated nothing": (meta(DEFLATED) + b"\xff" * 500, BROKEN),
    }


def _other_kinds() -> Found:
    found: Found = {
        "DICOMDIR by its media class": (
            meta(more=element(0x00020002, b"UI", DICOMDIR)) + identity() + _directory(),
            DIRECTORY,
        ),
        "DICOMDIR by its class": (dicom(SOPClassUID=DICOMDIR.decode()) + _directory(), DIRECTORY),
        "implicit in an explicit syntax": (meta() + dicom_implicit(), BROKEN),
    }
    for name, uid in {
        "JPIP": "1.2.840.10008.1.2.4.94",
        "video over IP": "1.2.840.10008.1.2.7.1",
        "private": "1.3.6.1.4.1.5962.99",
        "none at all": "../../etc/passwd",
    }.items():
        found[f"transfer syntax: {name}"] = (meta(uid.encode()) + identity() + PIXELS, SYNTAX)
    for name, uid in {"path": "../../etc/passwd", "65 digits": "1" * 65, "script": "<script>", "empty": ""}.items():
        others = identity().replace(element(0x00080018, b"UI", IDENTITY["SOPInstanceUID"].encode()), b"")
        found[f"UID: {name}"] = (meta() + element(0x00080018, b"UI", uid.encode()) + others + PIXELS, MISSING)
    return found


def dicom_implicit() -> bytes:
    """A data set in implicit VR: the mandatory tags."""
    values = {0x00080016: "1.2.840.10008.5.1.4.1.1.7", 0x00080018: fresh_uid(), 0x0020000D: "1.2", 0x0020000E: "1.2.3"}
    return b"".join(
        struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) + len(value) % 2)
        + value.encode()
        + b"\0" * (len(value) % 2)
        for tag, value in values.items()
    )


def _directory() -> bytes:
    """A record that names a file outside of the disc."""
    file_id = element(0x00041500, b"CS", b"..\\..\\ETC\\PASSWD")
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(file_id)) + file_id
    return element(0x00041220, b"SQ", item)
