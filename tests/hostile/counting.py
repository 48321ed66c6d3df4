"""A door in front of Orthanc that counts what is stored through it, and what stands open."""

import asyncio
import contextlib

from deploy.local.ports import HOST
from tests.chaos.background import Background

_STORE = b"POST /instances "
_AT_ONCE = 64 * 1024


class Door:
    """Passes everything on. `stores`: how often a store was begun; `open`: connections that stand."""

    def __init__(self, background: Background, port: int, leads_to: str) -> None:
        self._background, self._port = background, port
        self._host, _, self._target = leads_to.rpartition(":")
        self.stores = self.open = 0

    def listen(self) -> None:
        """Take connections."""
        self._server = self._background.run(asyncio.start_server(self._passes, HOST, self._port))

    def close(self) -> None:
        """Take no more."""
        self._background.call(self._server.close)

    async def _passes(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection(self._host, int(self._target))
        self.open += 1
        try:
            await asyncio.gather(self._pump(reader, to_writer, count=True), self._pump(to_reader, writer, count=False))
        finally:
            self.open -= 1

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(_AT_ONCE):
                if count and piece.startswith(_STORE):
                    self.stores += 1
                writer.write(piece)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
