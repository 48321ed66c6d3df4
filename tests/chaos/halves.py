"""Clients that send half of an upload and wait: for the service to die, or to go away themselves."""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Literal
from urllib.parse import urlsplit

from tests.chaos.background import Background
from tests.chaos.clients import BOUNDARY, Answer, form
from tests.chaos.images import Image
from tests.chaos.link import reset

Framing = Literal["length", "chunked"]
SENT = 0.75  # of the body: of a large one more than the service holds back from Orthanc
ANSWER_SECONDS = 30.0


class Halves:
    """Half-sent uploads, each on a connection of its own."""

    def __init__(self, background: Background, token: str) -> None:
        self._background, self._token = background, token
        self._open: list[tuple[Image, asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.answers: list[Answer] = []

    def begin(self, url: str, some: Sequence[Image], framings: Iterable[Framing]) -> None:
        """Send the beginnings."""
        sending = [self._begin(url, image, framing) for image, framing in zip(some, framings, strict=False)]

        async def all_of_them() -> None:
            await asyncio.gather(*sending)

        self._background.run(all_of_them())

    def go_away(self, *, at_once: bool) -> None:
        """The clients close their connections; `at_once`: their machines are gone."""
        self._background.run(self._go_away(at_once=at_once))

    def end(self) -> None:
        """Read what each is told, which may be nothing, and close."""
        self._background.run(self._end())

    def acknowledged(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.acknowledged]

    async def _begin(self, url: str, image: Image, framing: Framing) -> None:
        where, body = urlsplit(url), form(image)
        part = body[: int(SENT * len(body))]
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        lines = [
            f"POST {where.path}/dicom/upload HTTP/1.1",
            f"Host: {where.netloc}",
            f"Authorization: Bearer {self._token}",
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
            f"Content-Length: {len(body)}" if framing == "length" else "Transfer-Encoding: chunked",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        writer.write(part if framing == "length" else b"%x\r\n%b\r\n" % (len(part), part))
        await writer.drain()
        self._open.append((image, reader, writer))

    async def _go_away(self, *, at_once: bool) -> None:
        for _, _, writer in self._open:
            if at_once:
                reset(writer.transport)
            else:
                writer.close()
        self._open.clear()

    async def _end(self) -> None:
        await asyncio.gather(*(self._read(*one) for one in self._open))
        self._open.clear()

    async def _read(self, image: Image, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = b""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(ANSWER_SECONDS):
                line = await reader.readline()
        status = line.split()[1] if line else b"0"
        self.answers.append(Answer(image, int(status), 0.0, orthanc_id=image.orthanc_id, sop_uid=image.sop_uid))
        writer.transport.abort()
