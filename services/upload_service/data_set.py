"""The data set behind the file meta information, inflated where it is deflated, walked through as its bytes come in."""

import zlib
from collections.abc import Collection, Iterator

from services.upload_service.elements import Walk
from services.upload_service.encoding import BIG_ENDIAN, EXPLICIT, IMPLICIT, Encoding, is_known
from services.upload_service.errors import DicomBroken, InflatesTooFar
from services.upload_service.syntaxes import BIG_ENDIAN as BIG_ENDIAN_SYNTAX
from services.upload_service.syntaxes import DEFLATED, IMPLICIT_VR

_AT_ONCE = 1024 * 1024  # inflated bytes in hand
_HEAD = 6  # bytes that tell whether VRs are written


class DataSet:
    """Feed it what follows the file meta information. `deflated`: then positions are not those of the file."""

    def __init__(self, syntax: str, wanted: Collection[int], *, split_within: int, inflated_limit: int) -> None:
        self.deflated = syntax == DEFLATED
        self.walk: Walk | None = None
        self._syntax = syntax
        self._wanted = wanted
        self._split_within = split_within
        self._limit = inflated_limit
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)  # PS3.5 A.5
        self._inflated = 0
        self._first = b""

    def feed(self, piece: bytes) -> None:
        """Take the next bytes. Raises DicomBroken and InflatesTooFar."""
        for data in self._inflate(piece) if self.deflated else (piece,):
            if self.walk is None:
                self._first += data
                if len(self._first) < _HEAD:
                    continue
                encoding = _encoding(self._syntax, self._first)
                self.walk = Walk(encoding, self._wanted, self._split_within)
                data, self._first = self._first, b""  # noqa: PLW2901
            self.walk.feed(data)

    def passes_over(self, count: int) -> bool:
        """Whether the next bytes, so many, cost nothing to take."""
        return not self.deflated and self.walk is not None and self.walk.passes_over(count)

    @property
    def cut_off(self) -> bool:
        """Whether the data end too early."""
        return bool(self._first) if self.walk is None else self.walk.cut_off

    def _inflate(self, piece: bytes) -> Iterator[bytes]:
        more = bool(piece)
        while more and not self._inflater.eof:
            try:
                data = self._inflater.decompress(piece, _AT_ONCE)
            except zlib.error:
                raise DicomBroken(
                    what_en="its deflated data set cannot be inflated",
                    what_fr="son jeu de données compressé est illisible",
                ) from None
            self._inflated += len(data)
            if self._inflated > self._limit:
                raise InflatesTooFar(limit=self._limit)
            if data:
                yield data
            piece = self._inflater.unconsumed_tail
            more = bool(piece) or len(data) == _AT_ONCE  # more may wait inside than was asked for


def _encoding(syntax: str, first: bytes) -> Encoding:
    """As the transfer syntax says. Orthanc believes it too, and spends a second on a small file that it misreads."""
    explicit = is_known(first[4:6])
    if syntax and explicit == (syntax == IMPLICIT_VR):
        raise DicomBroken(
            what_en="it is not written in its transfer syntax",
            what_fr="il n'est pas écrit dans sa syntaxe de transfert",
        )
    if syntax == BIG_ENDIAN_SYNTAX:
        return BIG_ENDIAN
    return EXPLICIT if explicit else IMPLICIT
