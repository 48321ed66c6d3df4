"""DICOM files for the gate's tests: sound ones written by pydicom, hostile ones put together byte by byte."""

import struct
import zlib
from collections.abc import Collection
from io import BytesIO

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.7"  # secondary capture
IDENTITY = {
    "SOPClassUID": SOP_CLASS,
    "SOPInstanceUID": "1.2.3.4.5.6.1",
    "StudyInstanceUID": "1.2.3.4.5.6.2",
    "SeriesInstanceUID": "1.2.3.4.5.6.3",
}
EXPLICIT, DEFLATED = b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.1.99"
UNDEFINED = 0xFFFFFFFF
LONG_VRS = (b"OB", b"OW", b"SQ", b"UN", b"UT")
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
ITEM_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def dicom(
    syntax: UID = ExplicitVRLittleEndian, *, pixels: bytes = b"", without: Collection[str] = (), **tags: str
) -> bytes:
    """A file with the four mandatory tags and the given ones, less those that are left out."""
    dataset = Dataset()
    for name, value in {**IDENTITY, **tags}.items():
        if name not in without:
            setattr(dataset, name, value)
    if pixels:
        dataset.add_new("PixelData", "OB", pixels)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = UID(SOP_CLASS)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(IDENTITY["SOPInstanceUID"])
    written = BytesIO()
    dataset.preamble = b"\0" * 128
    dcmwrite(written, dataset, enforce_file_format=True)
    return written.getvalue()


def element(tag: int, vr: bytes, value: bytes = b"", length: int | None = None) -> bytes:
    """One element in explicit little endian; `length` is what it claims, if that is not the truth."""
    value += b"\0" * (len(value) % 2)
    length = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    return head + (struct.pack("<HI", 0, length) if vr in LONG_VRS else struct.pack("<H", length)) + value


def meta(syntax: bytes = EXPLICIT, more: bytes = b"") -> bytes:
    """Preamble, prefix and file meta information; `more` stands before the transfer syntax."""
    group = more + element(0x00020010, b"UI", syntax)
    return b"\0" * 128 + b"DICM" + element(0x00020000, b"UL", struct.pack("<I", len(group))) + group


def identity() -> bytes:
    """The mandatory elements in explicit little endian."""
    tags = (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)
    return b"".join(element(tag, b"UI", uid.encode()) for tag, uid in zip(tags, IDENTITY.values(), strict=True))


def nested(depth: int) -> bytes:
    """Sequences of undefined length inside one another."""
    opened = element(0x00081115, b"SQ", length=UNDEFINED) + ITEM
    return opened * depth + (ITEM_END + SEQUENCE_END) * depth


def nested_with_lengths(depth: int) -> bytes:
    """The same with every length told: who passes over the outermost one sees nothing of the rest."""
    inside = b""
    for _ in range(depth):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inside)) + inside
        inside = element(0x00081115, b"SQ", item)
    return inside


def deflated(dataset: bytes) -> bytes:
    """A data set as the deflated transfer syntax has it (PS3.5 A.5)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(dataset) + packer.flush()
