"""The elements of a DICOM data set, found as its bytes come in: without recursion, holding only the values asked for.

Sequences are walked through. Nesting deeper than real images have is refused: Orthanc recurses for each level and can
be killed that way.
"""

from collections.abc import Collection

from services.upload_service.encoding import (
    IMPLICIT,
    ITEM,
    MARKS,
    SEQUENCE_END,
    UNDEFINED,
    Encoding,
    Head,
    could_be_one,
)
from services.upload_service.errors import DicomBroken
from services.upload_service.sequences import PIXELS, Opened, must_be_looked_into, opened_by

DEEPEST = 32  # sequences inside one another
MOST = 1_000_000  # elements of one data set, with those in sequences and the fragments of pixel data: a second to walk
DISORDERED = 1_000  # elements that come behind one of a higher tag: Orthanc looks for the place of each one by one
WILD = 64 * 1024  # bytes by which a length behind the pixels, or of an item, may reach beyond the end of the file
LONGEST = 64 * 1024  # bytes of a value that is asked for; a longer one is none


class Walk:
    """Feed it the data set; positions count from its first byte.

    `values`: of the wanted elements at the top level, the first of each. `pixels_at`: where the value of the pixel data
    begins. `least_size`: where native pixel data ends; 0 where only a delimiter tells. `split`: tag and beginning of
    the last top-level element that begins within the first `split_within` bytes.
    """

    def __init__(self, encoding: Encoding, wanted: Collection[int], split_within: int, most: int = MOST) -> None:
        self.values: dict[int, bytes] = {}
        self.pixels_at: int | None = None
        self.least_size = 0
        self.split = (0, 0)
        self.size = 0
        self._encoding = encoding
        self._wanted = wanted
        self._split_within = split_within
        self._left = most
        self._at = 0  # where the next head begins
        self._begun = b""  # a head or a wanted value that has not come in whole
        self._open: list[Opened] = []
        self._claimed = 0  # the farthest that an item says it reaches
        self._highest = [0]  # tag so far, in the data set and in the item that is open at each level
        self._disordered = 0

    def feed(self, piece: bytes) -> None:
        """Take the next bytes. Raises DicomBroken for what is nested too deep or has too many elements."""
        start = self.size - len(self._begun)
        data = self._begun + piece if self._begun else piece
        self.size += len(piece)
        while self._at < self.size and self._step(data, start):
            pass
        self._begun = bytes(data[self._at - start :])

    def passes_over(self, count: int) -> bool:
        """Whether the next bytes, so many, lie all in a value that is not read."""
        return not self._begun and self._at >= self.size + count

    @property
    def cut_off(self) -> bool:
        """Whether the data end within an element; of encapsulated pixels and of what follows pixels Orthanc judges."""
        # Orthanc makes room for what a length says, before it looks whether so much is there.
        if max(self._claimed, self._at) > self.size + WILD:
            return True
        if self.pixels_at is not None:
            return self.size < self.least_size
        self._close()
        return self._at > self.size or bool(self._begun) or bool(self._open)

    def _step(self, data: bytes, start: int) -> bool:
        """Walk on by one head, and over the value where nothing in it matters; False where more bytes are needed."""
        if self._open:
            self._close()
        within = self._open[-1] if self._open else None
        encoding = within.encoding if within else self._encoding
        head = encoding.head(data, self._at - start)
        if head is None:
            return False
        moved = self._mark(head, within, start) if head[0] in MARKS else self._element(head, encoding, data, start)
        self._left -= moved
        if self._left < 0:
            raise DicomBroken(what_en="it has too many elements", what_fr="il a trop d'éléments")
        return moved

    def _mark(self, head: Head, within: Opened | None, start: int) -> bool:
        """Over the beginning of an item or fragment, or the end of an item or sequence."""
        tag, _, length, value = head
        if tag == ITEM and length != UNDEFINED:
            self._claimed = max(self._claimed, start + value + length)
            value += length if within and within.fragments else 0
        elif tag == SEQUENCE_END and within and within.end is None:
            self._leave()
        if tag == ITEM:
            self._highest[-1] = 0
        self._go_to(start + value)
        return True

    def _element(self, head: Head, encoding: Encoding, data: bytes, start: int) -> bool:
        tag, vr, length, value = head
        # DCMTK and the reader of Orthanc itself, which ends at the pixels, make different lengths of it.
        if vr is not None and self.pixels_at is None and not could_be_one(vr):
            raise DicomBroken(what_en="an element has no VR that exists", what_fr="un élément n'a pas de VR qui existe")
        begins_with = 0
        if must_be_looked_into(head):
            if value + 4 > len(data):
                return False
            begins_with = (IMPLICIT if vr else encoding).tag(data, value)
        opened = opened_by(head, encoding, begins_with, start + value + length)
        if not self._open:
            if tag in self._wanted and not opened and length <= LONGEST:
                if value + length > len(data):
                    return False
                self.values.setdefault(tag, bytes(data[value : value + length]))  # as DCMTK: of two, the first counts
            self._top_level(tag, length, start + value)
        self._must_be_in_order(tag)
        if opened:
            self._go_into(opened)
        self._go_to(start + value + (0 if opened else length))
        return True

    def _top_level(self, tag: int, length: int, value: int) -> None:
        if self._at <= self._split_within:
            self.split = (tag, self._at)
        if tag in PIXELS and self.pixels_at is None:
            self.pixels_at = value
            self.least_size = 0 if length == UNDEFINED else value + length

    def _go_into(self, opened: Opened) -> None:
        if len(self._open) >= DEEPEST:
            raise DicomBroken(
                what_en=f"its sequences are nested more than {DEEPEST} deep",
                what_fr=f"ses séquences sont imbriquées sur plus de {DEEPEST} niveaux",
            )
        self._open.append(opened.within(self._open[-1] if self._open else None))
        self._highest.append(0)

    def _go_to(self, at: int) -> None:
        """Walk on from there, or from the fence where that is nearer."""
        within = self._open[-1] if self._open else None
        if within and within.fence is not None and at > within.fence:
            if within.strict:
                raise DicomBroken(what_en="an element outgrows its sequence", what_fr="un élément dépasse sa séquence")
            at = within.fence
        self._at = at

    def _close(self) -> None:
        """Leave the sequences that are over."""
        while self._open and self._open[-1].ends_by(self._at):
            self._leave()

    def _leave(self) -> None:
        self._open.pop()
        self._highest.pop()

    def _must_be_in_order(self, tag: int) -> None:
        if tag > self._highest[-1]:
            self._highest[-1] = tag
            return
        self._disordered += 1
        if self._disordered > DISORDERED:
            raise DicomBroken(what_en="its elements are out of order", what_fr="ses éléments ne sont pas ordonnés")
