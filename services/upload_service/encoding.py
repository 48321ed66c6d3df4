"""How the heads of DICOM elements are written (PS3.5 7.1), read as DCMTK reads them (DcmItem::readTagAndLength).

Orthanc reads with DCMTK: where the two read differently, something could hide from the gate.
"""

from struct import Struct

LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
MARKS = frozenset((ITEM, ITEM_END, SEQUENCE_END))

Head = tuple[int, bytes | None, int, int]  # tag, VR (None where it is not written), length, where the value begins


class Encoding:
    """One of the ways."""

    def __init__(self, *, implicit: bool, big_endian: bool = False) -> None:
        order = ">" if big_endian else "<"
        self.implicit = implicit
        self.big_endian = big_endian
        self._tag = Struct(f"{order}HH").unpack_from
        self._short = Struct(f"{order}H").unpack_from
        self._long = Struct(f"{order}I").unpack_from

    def tag(self, data: bytes, at: int) -> int:
        """The tag that stands there, as one number."""
        group, element = self._tag(data, at)
        return int(group << 16 | element)

    def head(self, data: bytes, at: int) -> Head | None:
        """The head that stands there; None where more bytes are needed."""
        if len(data) < at + 8:
            return None
        tag = self.tag(data, at)
        if self.implicit or tag in MARKS:
            return tag, None, self._long(data, at + 4)[0], at + 8
        vr = data[at + 4 : at + 6]
        if vr in SHORT_VRS or not is_long(vr):
            return tag, vr, self._short(data, at + 6)[0], at + 8
        if len(data) < at + 12:
            return None
        return tag, vr, self._long(data, at + 8)[0], at + 12


def is_long(vr: bytes) -> bool:
    """Whether the length has four bytes: so it is for an unknown VR in capitals, which may be a future one."""
    return vr in LONG_VRS or (vr not in SHORT_VRS and vr.isalpha() and vr.isupper())


def could_be_one(vr: bytes) -> bool:
    """Whether it is a VR, or may become one: two capitals."""
    return vr in SHORT_VRS or is_long(vr)


def is_known(vr: bytes) -> bool:
    """Whether PS3.5 6.2 has this VR."""
    return vr in SHORT_VRS or vr in LONG_VRS


IMPLICIT, EXPLICIT, BIG_ENDIAN = (
    Encoding(implicit=True),
    Encoding(implicit=False),
    Encoding(implicit=False, big_endian=True),
)
