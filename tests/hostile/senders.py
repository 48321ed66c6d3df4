"""Senders that are slow in one way or another: raw HTTP, so that nothing helps them along."""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from tests.unit.multipart import CONTENT_TYPE, file_part, form

Way = Literal["says nothing", "stalls", "drips", "stalls in the pixels"]
ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Told:
    """What a sender was told: 0 where nothing; the seconds from its last byte on; the body of the answer."""

    status: int
    seconds: float
    body: bytes


async def send_slowly(url: str, token: str, content: bytes, way: Way) -> Told:
    """Begin an upload and never end it."""
    where, body = urlsplit(url), form(file_part(content))
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    head = (
        f"POST {where.path}/dicom/upload HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode())
    if way != "says nothing":
        writer.write(body[: len(body) * 3 // 4])
        await writer.drain()
    dripping = asyncio.create_task(_drip(writer, body[-1000:])) if way == "drips" else None
    began = time.monotonic()
    answer = b""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS):
            while piece := await reader.read(65536):
                answer += piece
    if dripping:
        dripping.cancel()
    writer.transport.abort()
    head_of_answer, _, said = answer.partition(b"\r\n\r\n")
    return Told(int(head_of_answer.split()[1]) if answer else 0, time.monotonic() - began, said)


async def _drip(writer: asyncio.StreamWriter, rest: bytes) -> None:
    for byte in rest:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.3)
