"""Which part of a file a request asks for (RFC 9110, 14): one range of bytes, or the whole."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from services.preview_service.errors import RangeUnsatisfiable

_ONE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))")


@dataclass(frozen=True)
class Part:
    """The bytes from `first` up to and without `end`, of `size`."""

    first: int
    end: int
    size: int

    @property
    def header(self) -> str:
        """The value of Content-Range."""
        return f"bytes {self.first}-{self.end - 1}/{self.size}"


def part_of(headers: Mapping[str, str], etag: str, size: int) -> Part | None:
    """None for the whole: where none is asked for, or it cannot be read, or of another file (If-Range, 13.1.5).

    Several at once may be answered with the whole (14.2). Raises RangeUnsatisfiable.
    """
    found = _ONE.fullmatch(headers.get("range", "").replace(" ", ""))
    if found is None or headers.get("if-range", etag) != etag:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        begins, end = max(0, size - int(suffix)), size
    else:
        begins, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < begins:
            return None  # no valid range (14.1.1)
    if begins >= end:
        raise RangeUnsatisfiable(size=size)
    return Part(begins, end, size)


async def cut(pieces: AsyncIterator[bytes], part: Part) -> AsyncIterator[bytes]:
    """The bytes of the part, out of the whole as it flows by."""
    at = 0
    async for piece in pieces:
        begin, end = max(part.first - at, 0), part.end - at
        if begin < len(piece):
            yield piece[begin:end]
        at += len(piece)
        if at >= part.end:
            return
