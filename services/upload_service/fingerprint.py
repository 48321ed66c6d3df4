"""What makes two DICOM files the same image: equal data sets, without file meta information and trailing padding.

Orthanc stores what C-STORE brings under file meta of its own, so an equal image can have another MD5.
"""

import hashlib
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.tag import BaseTag, Tag

from services.upload_service.dicom import UNREADABLE, Header
from services.upload_service.file_meta import read_file_meta

_HELD = 64 * 1024  # trailing padding longer than this makes another image of it: refused, never lost
_PADDING_TAG = Tag(0xFFFC, 0xFFFC)
_PADDING = b"\xfc\xff\xfc\xff"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"


class Fingerprint:
    """Of one file, fed piece by piece once its header is known: the header as it stands, and a hash of what follows."""

    def __init__(self, begin: bytes, header: Header) -> None:
        self.header = begin[: header.pixels_at]
        self._least_size = header.least_size
        self._hash = hashlib.sha256()
        self._size = header.pixels_at
        self._tail = bytearray()
        self.feed(begin[header.pixels_at :])

    def feed(self, piece: bytes | bytearray) -> None:
        """Take the file's next bytes."""
        self._tail += piece
        if len(self._tail) > 2 * _HELD:
            self._take(len(self._tail) - _HELD)

    def differing(self, other: "Fingerprint") -> list[str]:
        """The keywords (or tags) whose values differ, at the top level; none for the same image."""
        try:
            ours, theirs = self.elements(), other.elements()
            found = [_named(tag) for tag in sorted(ours.keys() | theirs.keys()) if _differs(ours, theirs, tag)]
        except UNREADABLE:  # a value that is not what its VR says
            found = [] if self.data_set() == other.data_set() else ["?"]
        return found if self.digest() == other.digest() else [*found, "PixelData"]

    def _take(self, count: int) -> None:
        self._hash.update(self._tail[:count])
        del self._tail[:count]
        self._size += count

    def digest(self) -> bytes:
        """The hash of what follows the header, without trailing padding."""
        digest = self._hash.copy()
        digest.update(self._tail[: self._padding_at()])
        return digest.digest()

    def _padding_at(self) -> int:
        """Where, in the tail, the trailing padding begins; its length where there is none."""
        if self._least_size:
            end = self._least_size - self._size
        else:
            end = self._tail.rfind(_SEQUENCE_END) + len(_SEQUENCE_END)
        return end if end >= 0 and self._tail[end : end + 4] == _PADDING else len(self._tail)

    def data_set(self) -> bytes:
        """The header behind the file meta information, as it stands."""
        meta = read_file_meta(self.header, whole=True)
        return self.header[meta.data_set_at :] if meta else self.header

    def elements(self) -> Dataset:
        """The data set's elements before the pixel data."""
        elements = dcmread(BytesIO(self.header), force=True, stop_before_pixels=True)
        elements.pop(_PADDING_TAG, None)
        return elements


def _differs(ours: Dataset, theirs: Dataset, tag: BaseTag) -> bool:
    if tag not in ours or tag not in theirs:
        return True
    return bool(ours[tag].value != theirs[tag].value)


def _named(tag: BaseTag) -> str:
    return keyword_for_tag(tag) or str(tag)
