"""The elements of a DICOM data set up to its pixel data, found without recursion and without reading their values.

Sequences are passed over, whatever they hold; nesting deeper than real images have is refused, because Orthanc recurses
for each level and can be killed that way.
"""

import struct
from collections.abc import Collection
from dataclasses import dataclass, field

DEEPEST = 32  # sequences inside one another
UNDEFINED = 0xFFFFFFFF
LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
ITEM, SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)


@dataclass
class Elements:
    """What was found: the wanted elements' bytes, where the pixel data's value begins, where the last element ends."""

    wanted: bytearray = field(default_factory=bytearray)
    pixels_at: int | None = None  # None: there is none
    ends: int | None = 0  # None: only its delimiter tells


@dataclass(frozen=True)
class _Encoding:
    implicit: bool
    order: str  # "<" or ">"


def find_elements(
    data: bytes, at: int, *, implicit: bool, big_endian: bool, wanted: Collection[int], pixels: Collection[int]
) -> Elements:
    """Walk over the top level from `at` on. Raises ValueError or struct.error where the data make no sense."""
    found, encoding = Elements(), _Encoding(implicit, ">" if big_endian else "<")
    while at + 8 <= len(data):
        begin = at
        tag, vr, length, at = _head(data, at, encoding)
        number = tag[0] << 16 | tag[1]
        found.ends = None if length == UNDEFINED else at + length
        if number in pixels:
            found.pixels_at = at
            return found
        if _holds_items(data, at, vr, length, encoding):
            at = _behind(data, at, vr, length, encoding)
            found.ends = at
            continue
        if length == UNDEFINED:
            raise ValueError("a value of undefined length that is no sequence")
        at += length
        if number in wanted:
            found.wanted += data[begin:at]
    if found.ends == at and at != len(data):
        found.ends = at + 8  # a few bytes of the next element
    return found


def _head(data: bytes, at: int, encoding: _Encoding) -> tuple[tuple[int, int], bytes | None, int, int]:
    """Tag, VR (None where it is implicit), length, and where the value begins."""
    group, element, length = struct.unpack_from(f"{encoding.order}HHI", data, at)
    vr = data[at + 4 : at + 6]
    # Some writers fall back to implicit VR within an explicit data set.
    if encoding.implicit or group == 0xFFFE or not b"AA" <= vr <= b"ZZ":
        return (group, element), None, length, at + 8
    if vr in LONG_VRS:
        return (group, element), vr, struct.unpack_from(f"{encoding.order}I", data, at + 8)[0], at + 12
    return (group, element), vr, struct.unpack_from(f"{encoding.order}H", data, at + 6)[0], at + 8


def _holds_items(data: bytes, at: int, vr: bytes | None, length: int, encoding: _Encoding) -> bool:
    """Whether a value is a sequence: by its VR, or, where that says nothing, by its first tag."""
    if length == UNDEFINED or vr == b"SQ":
        return True
    return vr in (None, b"UN") and data[at : at + 4] == struct.pack(f"{encoding.order}HH", *ITEM)


def _behind(data: bytes, at: int, vr: bytes | None, length: int, encoding: _Encoding) -> int:
    """Where a sequence ends whose value begins at `at`."""
    open_ = [_Open.of(at, vr, length, encoding)]
    while open_:
        within = open_[-1]
        if within.end is not None and at >= within.end:
            open_.pop()
            at = max(at, within.end)
            continue
        if at + 8 > len(data):
            return max(at, len(data)) + 8  # at least the delimiter is missing
        tag, vr, length, at = _head(data, at, within.encoding)
        if tag == SEQUENCE_END:
            if within.end is None:
                open_.pop()
        elif tag[0] == 0xFFFE:
            at += length if within.fragments and length != UNDEFINED else 0
        elif _holds_items(data, at, vr, length, within.encoding):
            open_.append(_Open.of(at, vr, length, within.encoding))
            if len(open_) > DEEPEST:
                raise ValueError("sequences nested too deep")
        else:
            at += length
    return at


@dataclass(frozen=True)
class _Open:
    """A sequence being passed over: where it ends, if it says so, and what its items are made of."""

    end: int | None
    encoding: _Encoding
    fragments: bool

    @classmethod
    def of(cls, at: int, vr: bytes | None, length: int, encoding: _Encoding) -> "_Open":
        # PS3.5 6.2.2: a sequence sent as UN is in implicit VR little endian.
        inside = _Encoding(implicit=True, order="<") if vr == b"UN" else encoding
        return cls(None if length == UNDEFINED else at + length, inside, vr not in (None, b"SQ", b"UN"))
