"""Reading the one part of a multipart answer, however it is cut into pieces."""

from collections.abc import AsyncIterator

import pytest

from services.preview_service.dicomweb.parts import Related, first_part
from shared.errors import OrthancNonsense

CONTENT = b"a\r\n\r\nb--boundary--" * 100
LENGTH = str(len(CONTENT)).encode()
ANSWER = (
    b"--boundary\r\nContent-Type: application/dicom\r\nContent-Length: "
    + LENGTH
    + b"\r\nMIME-Version: 1.0\r\n\r\n"
    + CONTENT
    + b"\r\n--boundary--\r\n"
)


async def _cut(content: bytes, size: int) -> AsyncIterator[bytes]:
    for begin in range(0, len(content), size):
        yield content[begin : begin + size]


async def _read(content: bytes, size: int = 1000) -> bytes:
    return b"".join([piece async for piece in first_part(_cut(content, size))])


@pytest.mark.parametrize("size", [1, 3, 70, 1000, 10_000])
async def test_the_content_is_what_its_length_says(size: int) -> None:
    assert await _read(ANSWER, size) == CONTENT


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"--boundary\r\n",
        ANSWER[:200],
        b"--b\r\nContent-Type: x\r\n\r\nabc",
        b"x" * 20_000,
        ANSWER.replace(LENGTH, b"-5"),
    ],
)
async def test_what_is_no_such_answer_is_nonsense(answer: bytes) -> None:
    with pytest.raises(OrthancNonsense):
        await _read(answer)


def test_parts_are_written_as_they_are_read() -> None:
    related = Related("application/dicom")
    assert related.boundary in related.content_type
    written = related.head("application/dicom") + b"content" + related.end()
    head, _, rest = written.partition(b"\r\n\r\n")
    assert head == f"\r\n--{related.boundary}\r\nContent-Type: application/dicom".encode()
    assert rest == f"content\r\n--{related.boundary}--\r\n".encode()
