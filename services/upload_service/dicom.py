"""The DICOM gate: reads the header of a file (PS3.10) before Orthanc sees a byte, and refuses what is not sound.

A header is everything before the pixel data. It is read from the file's beginning alone, so a large file can flow on
to Orthanc while only its header was ever held.
"""

import re
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset, config
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from services.upload_service.elements import find_elements
from services.upload_service.errors import DicomBroken, HeaderTooLarge, NotDicom, TagsMissing
from shared.acquisition import ACQUISITION_TAGS

# A value that breaks a rule of PS3.5 is no reason to refuse an image that cannot be taken again.
config.settings.reading_validation_mode = config.IGNORE

PREAMBLE = 128
DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
MANDATORY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
OTHERS = ("SpecificCharacterSet", "Modality", "AccessionNumber", *ACQUISITION_TAGS)
_READ = {Tag(name) for name in (*MANDATORY, *OTHERS)}
_SYNTAX = Tag("TransferSyntaxUID")
_PIXELS = {Tag("FloatPixelData"), Tag("DoubleFloatPixelData"), Tag("PixelData")}
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
# What pydicom raises on bytes that are not what their lengths and VRs say.
_UNREADABLE = (
    InvalidDicomError,
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class Header:
    """The tags that the gate reads, the least number of bytes the whole file must have, and where its pixels begin.

    `pixels_at` is the first byte after the last element that was read: the value of the pixel data, or the file's end;
    in a deflated file, where the deflated data set begins.
    """

    tags: Dataset
    least_size: int
    pixels_at: int


def read_header(begin: bytes, *, whole: bool, limit: int) -> Header | None:
    """The header of a file whose first bytes are `begin`; None where more bytes are needed to reach its end.

    `whole` says that `begin` is the whole file. Raises NotDicom, DicomBroken, HeaderTooLarge or TagsMissing.
    """
    if begin[PREAMBLE : PREAMBLE + 4] != b"DICM":
        raise NotDicom
    try:
        walk = _Walk(begin, limit)
    except _UNREADABLE:
        walk = None
    if not whole and (walk is None or not walk.at_pixels):
        if len(begin) >= limit:
            raise HeaderTooLarge(limit=limit)
        return None
    if walk is None:
        raise DicomBroken(what_en="its header cannot be read", what_fr="son en-tête est illisible")
    missing = [name for name in MANDATORY if not _usable_uid(walk.tags, name)]
    if whole and walk.cut_off:
        raise cut_off()
    if missing:
        raise TagsMissing(missing)
    return Header(walk.tags, walk.least_size, walk.pixels_at)


def cut_off() -> DicomBroken:
    """The refusal of a file that ends before its last element does."""
    return DicomBroken(what_en="it ends too early", what_fr="il s'arrête trop tôt")


class _Walk:
    """One pass over the top-level elements up to the pixel data, noting where each says it ends."""

    def __init__(self, begin: bytes, limit: int) -> None:
        syntax, data_set_at = _file_meta(begin)
        # pydicom would inflate all of it, whatever it comes to.
        self._deflated = syntax == DEFLATED
        data, at = (_inflated(begin[data_set_at:], limit), 0) if self._deflated else (begin, data_set_at)
        implicit = not b"AA" <= data[at + 4 : at + 6] <= b"ZZ"
        big_endian = syntax == BIG_ENDIAN
        found = find_elements(data, at, implicit=implicit, big_endian=big_endian, wanted=_READ, pixels=_PIXELS)
        self.tags = read_dataset(BytesIO(found.wanted), implicit, not big_endian)
        self.at_pixels = found.pixels_at is not None
        self.pixels_at = data_set_at if self._deflated else found.pixels_at or len(begin)
        self._size, self._ends = len(data), found.ends

    @property
    def least_size(self) -> int:
        """Bytes the file must have; 0 where the pixel data is encapsulated or deflated, which Orthanc checks."""
        return 0 if self._deflated else self._ends or 0

    @property
    def cut_off(self) -> bool:
        """Whether the data ends within its last element."""
        return self._ends is not None and self._size < self._ends and not (self._deflated and self.at_pixels)


def _file_meta(begin: bytes) -> tuple[str | None, int]:
    """The transfer syntax, and where the data set begins: file meta information is group 0002 (PS3.10 7.1)."""
    file = BytesIO(begin)
    file.seek(PREAMBLE + 4)
    meta = read_dataset(
        file,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, _vr, _length: tag.group != 2,
        specific_tags=[_SYNTAX],
    )
    return text_of(meta, "TransferSyntaxUID"), file.tell()


def _inflated(deflated: bytes, limit: int) -> bytes:
    """A deflated data set (PS3.5 A.5), of which at most `limit` bytes are inflated."""
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, limit)


def _usable_uid(tags: Dataset, name: str) -> bool:
    uid = text_of(tags, name)
    return uid is not None and len(uid) <= 64 and _UID.fullmatch(uid) is not None


def text_of(tags: Dataset, name: str) -> str | None:
    """The value of a tag as text, without padding; None where it is absent, empty or unreadable."""
    try:
        value = tags.get(name)
    except _UNREADABLE:
        return None
    if isinstance(value, MultiValue):
        value = "\\".join(str(one) for one in value)  # as it stands in the file
    return str(value).strip(" \0") or None if value is not None else None
