"""Multipart bodies, written out by hand (RFC 7578)."""

from collections.abc import AsyncIterator, Iterable

BOUNDARY = "limit-of-a-part"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def part(name: str, content: bytes, *more: str, filename: str | None = None) -> bytes:
    """One part; `more` are further header lines."""
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    lines = "\r\n".join([f"--{BOUNDARY}", disposition, *more])
    return lines.encode() + b"\r\n\r\n" + content + b"\r\n"


def file_part(content: bytes) -> bytes:
    return part("file", content, "Content-Type: application/dicom", filename="image.dcm")


def form(*parts: bytes) -> bytes:
    """A whole body."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


async def arriving(body: bytes, chunk: int = 65536) -> AsyncIterator[bytes]:
    """The body in chunks of this size, with an empty one at the end as Starlette has it."""
    for start in range(0, len(body), chunk):
        yield body[start : start + chunk]
    yield b""


async def in_pieces(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
