"""The DICOM files that pydicom ships, each with an identity of its own."""

import itertools
import os
import time
import zlib
from pathlib import Path

import pydicom.data
from pydicom import dcmread

FOLDER = Path(pydicom.data.__file__).parent / "test_files"
DEFLATED = b"1.2.840.10008.1.2.1.99"
_counter = itertools.count(os.getpid() * 1_000_000 + time.time_ns() % 1_000_000_000)


def names() -> list[str]:
    """All .dcm files of pydicom's test data, by their path below its folder."""
    return sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.dcm"))


def content(name: str) -> bytes:
    """A file as pydicom ships it."""
    return (FOLDER / name).read_bytes()


def fresh_study(name: str) -> bytes:
    """The file with Study and Series Instance UIDs of its own too."""
    return fresh(name, "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def fresh(name: str, *uids: str) -> bytes:
    """The file with a SOP Instance UID (or these UIDs) of its own, put in by replacing bytes of equal length.

    A file without a usable UID keeps what it has.
    """
    data = content(name)
    for uid in uids or ("SOPInstanceUID",):
        data = _renewed(name, data, uid)
    return data


def _renewed(name: str, data: bytes, attribute: str) -> bytes:
    try:
        uid = str(dcmread(FOLDER / name, force=True, stop_before_pixels=True)[attribute].value).strip("\0 ")
    except (KeyError, AttributeError):
        return data
    if len(uid) < 20:
        return data
    old, new = uid.encode(), fresh_uid(len(uid)).encode()
    if DEFLATED in data[:1024]:
        return _in_deflated(data, old, new)
    return data.replace(old, new)


def _in_deflated(data: bytes, old: bytes, new: bytes) -> bytes:
    """The same in a deflated data set (PS3.5 A.5), which follows the file meta information."""
    meta = 144 + int.from_bytes(data[140:144], "little")
    data_set = zlib.decompress(data[meta:], -zlib.MAX_WBITS).replace(old, new)
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return data[:meta].replace(old, new) + deflate.compress(data_set) + deflate.flush()


def fresh_uid(length: int = 40) -> str:
    """A UID that no other call gives, of just this length (at least 20)."""
    number = str(next(_counter))
    head = "1.2.826.0.1."
    return head + "1" * (length - len(head) - len(number)) + number
