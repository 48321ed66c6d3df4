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
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag, Tag

from services.upload_service.errors import DicomBroken, HeaderTooLarge, NotDicom, TagsMissing

# A value that breaks a rule of PS3.5 is no reason to refuse an image that cannot be taken again.
config.settings.reading_validation_mode = config.IGNORE

PREAMBLE = 128
DEFLATED = "1.2.840.10008.1.2.1.99"
MANDATORY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
DATES = tuple(f"{of}{part}" for of in ("Acquisition", "Content", "Series", "Study") for part in ("Date", "Time"))
_READ: list[BaseTag | int] = [
    Tag(name)
    for name in (*MANDATORY, "Modality", "AccessionNumber", "TimezoneOffsetFromUTC", "AcquisitionDateTime", *DATES)
]
_SYNTAX = Tag("TransferSyntaxUID")
_PIXELS = {Tag("FloatPixelData"), Tag("DoubleFloatPixelData"), Tag("PixelData")}
_UNDEFINED = 0xFFFFFFFF
_SEQUENCE_END = (b"\xfe\xff\xdd\xe0\0\0\0\0", b"\xff\xfe\xe0\xdd\0\0\0\0")  # little and big endian
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
        self.at_pixels = False
        syntax, data_set_at = _file_meta(begin)
        # pydicom would inflate all of it, whatever it comes to.
        self._deflated = syntax == DEFLATED
        self._deflated_at = data_set_at
        self._data = _inflated(begin[data_set_at:], limit) if self._deflated else begin
        self._file = BytesIO(self._data)
        self._pixels_at = len(begin)
        self._ends = 0  # where the last element ends; -1 where only its delimiter tells
        if self._deflated:
            self.tags = read_dataset(
                self._file, is_implicit_VR=False, is_little_endian=True, stop_when=self._element, specific_tags=_READ
            )
        else:
            self.tags = read_partial(self._file, stop_when=self._element, specific_tags=_READ)

    def _element(self, tag: BaseTag, _vr: str | None, length: int) -> bool:
        self._ends = -1 if length == _UNDEFINED else self._file.tell() + length
        self.at_pixels = tag in _PIXELS
        if self.at_pixels:
            self._pixels_at = self._file.tell()
        return self.at_pixels

    @property
    def pixels_at(self) -> int:
        """Where the value of the pixel data begins in the file."""
        return self._deflated_at if self._deflated else self._pixels_at

    @property
    def least_size(self) -> int:
        """Bytes the file must have; 0 where the pixel data is encapsulated or deflated, which Orthanc checks."""
        return 0 if self._deflated else max(self._ends, 0)

    @property
    def cut_off(self) -> bool:
        """Whether the data ends within its last element."""
        if self.at_pixels:
            return not self._deflated and len(self._data) < self._ends
        if self._ends == -1:
            return not self._data.endswith(_SEQUENCE_END)
        return len(self._data) != self._ends  # less than a value, or a few bytes of the next element


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
    return str(value).strip(" \0") or None if value is not None else None
