"""Bodies of type multipart/related (RFC 2387): written part by part, and one part read from Orthanc's."""

import uuid
from collections.abc import AsyncIterator

from shared.errors import OrthancNonsense

_LONGEST_HEAD = 4096


class Related:
    """One answer."""

    def __init__(self, kind: str) -> None:
        self.boundary = uuid.uuid4().hex
        self.content_type = f'multipart/related; type="{kind}"; boundary={self.boundary}'

    def head(self, kind: str) -> bytes:
        """What comes before a part's content."""
        return f"\r\n--{self.boundary}\r\nContent-Type: {kind}\r\n\r\n".encode()

    def end(self) -> bytes:
        """What comes after the last."""
        return f"\r\n--{self.boundary}--\r\n".encode()


async def first_part(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The content of the first part, whose head says its length. Raises OrthancNonsense."""
    read = b""
    while b"\r\n\r\n" not in read:
        piece = await anext(pieces, None)
        if piece is None or len(read) > _LONGEST_HEAD:
            raise OrthancNonsense(what="a multipart answer without a part")
        read += piece
    head, _, content = read.partition(b"\r\n\r\n")
    left = _length(head)
    while True:
        yield content[:left]
        left -= len(content)
        if left <= 0:
            return
        piece = await anext(pieces, None)
        if piece is None:
            raise OrthancNonsense(what="a part that is cut short")
        content = piece


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    raise OrthancNonsense(what="a part without a length")
