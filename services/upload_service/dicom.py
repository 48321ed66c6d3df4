"""The DICOM gate: reads a file (PS3.10) before Orthanc sees a byte, and refuses what is not sound.

A header is everything before the pixel data. It is read from the file's beginning alone, so a large file can flow on
to Orthanc while only its header was ever held; what follows is walked through as it flows.
"""

import logging
import struct
import warnings
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset, config
from pydicom.charset import python_encoding
from pydicom.errors import BytesLengthException
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from services.upload_service.data_set import DataSet
from services.upload_service.errors import CutOff, DirectoryRefused, HeaderTooLarge, NotDicom, TagsMissing
from services.upload_service.file_meta import FileMeta, read_file_meta
from services.upload_service.preamble import refuse_active
from services.upload_service.syntaxes import must_be_taken
from services.upload_service.uids import usable_class, usable_instance
from services.upload_service.without_pixels import FLOWS_FROM, has_no_pixels
from shared.acquisition import ACQUISITION_TAGS

# A value that breaks a rule of PS3.5 is no reason to refuse an image that cannot be taken again.
config.settings.reading_validation_mode = config.IGNORE

# Its warnings quote values, which may name a patient.
warnings.filterwarnings("ignore", module=r"pydicom\.")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

PREAMBLE = 128
INFLATED = 64 * 1024 * 1024
MANDATORY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
OTHERS = ("SpecificCharacterSet", "Modality", "AccessionNumber", *ACQUISITION_TAGS)
DICOMDIR = "1.2.840.10008.1.3.10"
_READ = frozenset(int(Tag(name)) for name in (*MANDATORY, *OTHERS))
_LAST_READ = max(_READ)
_CHARSET = int(Tag("SpecificCharacterSet"))
# What pydicom raises on values that are not what their VRs say.
UNREADABLE = (ArithmeticError, AttributeError, BytesLengthException, LookupError, TypeError, ValueError, struct.error)


@dataclass(frozen=True)
class Header:
    """The tags that the gate reads, the least number of bytes the whole file must have, and where its pixels begin.

    `pixels_at` is the first byte after the header: the value of the pixel data, or the file's end; in a deflated file,
    where the deflated data set begins; in a file without pixels that flows, an element that all copies of it share.
    `rest` takes what follows the bytes that were read, and tells when the file ends too early.
    """

    tags: Dataset
    least_size: int
    pixels_at: int
    rest: DataSet


class Gate:
    """Of one file. `syntaxes`: the transfer syntaxes that are taken, None for all; `limit`: the longest header."""

    def __init__(self, *, limit: int, inflated_limit: int = INFLATED, syntaxes: frozenset[str] | None = None) -> None:
        self._limit = limit
        self._inflated_limit = inflated_limit
        self._syntaxes = syntaxes
        self._meta: FileMeta | None = None
        self._data_set: DataSet | None = None
        self._read = 0

    def read(self, begin: bytes | bytearray, *, whole: bool) -> Header | None:
        """The header of a file whose first bytes are `begin`; None where more are needed to reach its end.

        Asked again with more of them, it goes on where it was. `whole` says that they are the whole file. Raises
        NotDicom, PreambleActive, DicomBroken, SyntaxRefused, DirectoryRefused, InflatesTooFar, HeaderTooLarge and
        TagsMissing.
        """
        if begin[PREAMBLE : PREAMBLE + 4] != b"DICM":
            raise NotDicom
        if self._data_set is None:
            refuse_active(bytes(begin[:PREAMBLE]))
            self._meta = read_file_meta(bytes(begin), whole=whole)
        if self._meta is not None:
            data_set = self._data_set or self._opened(self._meta)
            data_set.feed(bytes(memoryview(begin)[self._read :]))
            self._read = len(begin)
            if whole or _is_behind(data_set):
                return _header(len(begin), self._meta, data_set, whole=whole)
        if len(begin) >= self._limit:
            raise HeaderTooLarge(limit=self._limit)
        return None

    def _opened(self, meta: FileMeta) -> DataSet:
        if meta.media_class == DICOMDIR:
            raise DirectoryRefused
        # Where none is named, Orthanc tells by the data.
        if meta.syntax and self._syntaxes is not None:
            must_be_taken(meta.syntax, self._syntaxes)
        self._read = meta.data_set_at
        self._data_set = DataSet(meta.syntax, _READ, split_within=FLOWS_FROM, inflated_limit=self._inflated_limit)
        return self._data_set


def read_header(
    begin: bytes,
    *,
    whole: bool,
    limit: int,
    inflated_limit: int = INFLATED,
    syntaxes: frozenset[str] | None = None,
) -> Header | None:
    """What a gate says that is asked once."""
    return Gate(limit=limit, inflated_limit=inflated_limit, syntaxes=syntaxes).read(begin, whole=whole)


def _is_behind(data_set: DataSet) -> bool:
    """Whether all of the header was read: the pixels begin, or, where none come, the tags that are read are behind."""
    walk = data_set.walk
    if walk is None or walk.pixels_at is not None:
        return walk is not None
    sop_class = walk.values.get(int(Tag("SOPClassUID")), b"").decode("latin-1").strip(" \0")
    return walk.size > FLOWS_FROM and walk.split[0] > _LAST_READ and has_no_pixels(sop_class)


def _header(read: int, meta: FileMeta, data_set: DataSet, *, whole: bool) -> Header:
    walk, at = data_set.walk, meta.data_set_at
    tags = _tags(walk.values if walk else {})
    missing = [name for name in MANDATORY if not _usable(tags, name)]
    if whole and data_set.cut_off:
        raise CutOff
    if missing:
        raise TagsMissing(missing)
    assert walk is not None, "what has the mandatory tags was walked through"
    if text_of(tags, "SOPClassUID") == DICOMDIR:
        raise DirectoryRefused
    if data_set.deflated:
        return Header(tags, 0, at, data_set)
    if walk.pixels_at is not None:
        return Header(tags, at + walk.least_size if walk.least_size else 0, at + walk.pixels_at, data_set)
    return Header(tags, 0, at + walk.split[1] if _is_behind(data_set) else read, data_set)


def _tags(values: dict[int, bytes]) -> Dataset:
    """The values with the VRs that the dictionary gives them, whatever the file says."""
    known = {tag: value for tag, value in sorted(values.items()) if tag != _CHARSET or _is_known(value)}
    elements = (struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value for tag, value in known.items())
    return read_dataset(BytesIO(b"".join(elements)), is_implicit_VR=True, is_little_endian=True)


def _is_known(charset: bytes) -> bool:
    """Whether PS3.3 C.12.1.1.2 has it; of another one pydicom would tell in its log, in whatever words, or fail."""
    terms = charset.decode("latin-1").strip(" \0").split("\\")
    return all(term.strip() in python_encoding for term in terms)


def _usable(tags: Dataset, name: str) -> bool:
    uid = text_of(tags, name) or ""
    return usable_class(uid) if name == "SOPClassUID" else usable_instance(uid)


def text_of(tags: Dataset, name: str) -> str | None:
    """The value of a tag as text, without padding; None where it is absent, empty or unreadable."""
    try:
        value = tags.get(name)
    except UNREADABLE:
        return None
    if isinstance(value, MultiValue):
        value = "\\".join(str(one) for one in value)  # as it stands in the file
    return str(value).strip(" \0") or None if value is not None else None
