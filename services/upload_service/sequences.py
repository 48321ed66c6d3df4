"""Which elements hold sequences, by what Orthanc's DCMTK makes of them."""

from dataclasses import dataclass

from pydicom.datadict import dictionary_VR

from services.upload_service.encoding import IMPLICIT, ITEM, UNDEFINED, Encoding, Head

PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))  # float, double float, and pixel data
_ITEM_HEAD = 8


@dataclass(frozen=True)
class Opened:
    """A sequence that is being walked through; positions count from the data set's first byte.

    `end`: where it says it ends, if it does. `fence`: where it ends at the latest, whatever its items claim. `strict`:
    an item that claims to reach beyond the fence is refused, because it is not sure what Orthanc would make of it.
    """

    encoding: Encoding
    end: int | None
    fence: int | None = None
    strict: bool = False
    fragments: bool = False

    def within(self, outer: "Opened | None") -> "Opened":
        """The same inside another one, whose fence holds too."""
        if outer is None or outer.fence is None or (self.fence is not None and self.fence <= outer.fence):
            return self
        return Opened(self.encoding, self.end, outer.fence, outer.strict, self.fragments)

    def ends_by(self, at: int) -> bool:
        """Whether it is over at this position."""
        return (self.end is not None and at >= self.end) or (self.fence is not None and at >= self.fence)


def must_be_looked_into(head: Head) -> bool:
    """Whether the first bytes of the value tell if it is a sequence."""
    _, vr, length, _ = head
    return (vr is None or vr == b"UN") and _ITEM_HEAD <= length < UNDEFINED


def opened_by(head: Head, encoding: Encoding, begins_with: int, end: int) -> Opened | None:
    """The sequence that an element opens; None where it is no sequence.

    `begins_with` is the tag with which its value begins, as implicit VR little endian has it for a VR of UN.
    """
    tag, vr, length, _ = head
    if length == UNDEFINED:
        # PS3.5 6.2.2: a sequence sent as UN is in implicit VR little endian.
        inside = IMPLICIT if vr == b"UN" else encoding
        return Opened(inside, None, fragments=tag in PIXELS if vr is None else vr not in (b"SQ", b"UN"))
    if vr == b"SQ":
        return Opened(encoding, end)
    if begins_with != ITEM:
        return None
    if vr == b"UN":  # Orthanc passes over it
        return Opened(IMPLICIT, end, end)
    if tag >> 16 & 1:  # private: it depends on DCMTK's dictionary
        return Opened(encoding, end, end, strict=True)
    return Opened(encoding, end) if _is_sequence(tag) else None


def _is_sequence(tag: int) -> bool:
    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return False
