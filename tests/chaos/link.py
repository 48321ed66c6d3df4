"""One connection through a proxy, and what is on its way in it."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Literal, cast

from tests.chaos.callers import service_calling

Direction = Literal["to_server", "to_client"]
DIRECTIONS: tuple[Direction, ...] = ("to_server", "to_client")


def reset(end: asyncio.BaseTransport) -> None:
    """Close with a reset, as a machine does that lost its power or its network."""
    if end.is_closing():
        return
    with contextlib.suppress(OSError):  # the other side was faster
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    cast("asyncio.Transport", end).abort()


class Link:
    """Two ends; each piece waits until it is due and not held. The end of a connection is a piece as well.

    Nothing slows the sender down: what a held or frozen side does not take is kept here.
    """

    def __init__(self, client: asyncio.Transport, proxy_port: int, held: Callable[["Link", Direction], bool]) -> None:
        self._ends: dict[Direction, asyncio.Transport | None] = {"to_client": client, "to_server": None}
        self._waiting: dict[Direction, deque[tuple[float, bytes | None]]] = {d: deque() for d in DIRECTIONS}
        self._ports = client.get_extra_info("peername")[1], proxy_port
        self._held = held
        self._caller: str | None = None

    @property
    def caller(self) -> str:
        """The service at the other end of it; looked up when a fault asks first, since that takes some milliseconds."""
        if self._caller is None:
            self._caller = service_calling(*self._ports)
        return self._caller

    @property
    def is_over(self) -> bool:
        """Whether both ends are closed."""
        return all(end is None or end.is_closing() for end in self._ends.values())

    def is_holding(self, direction: Direction) -> bool:
        """Whether bytes are held back in this direction; the end of an idle connection does not count."""
        return any(data for _, data in self._waiting[direction])

    def take(self, direction: Direction, data: bytes | None, latency: float) -> None:
        """A piece came in; None for the end of the connection."""
        self._waiting[direction].append((asyncio.get_running_loop().time() + latency, data))
        self.flush(direction)

    def flush(self, direction: Direction) -> None:
        """Pass on what is due, unless it is held."""
        waiting, out, loop = self._waiting[direction], self._ends[direction], asyncio.get_running_loop()
        while waiting and out is not None and not self._held(self, direction):
            due, data = waiting[0]
            if due > loop.time():
                loop.call_later(due - loop.time(), self.flush, direction)
                return
            waiting.popleft()
            if data is None:
                out.close()
            elif not out.is_closing():
                out.write(data)

    def connected(self, server: asyncio.Transport) -> None:
        """The server took it."""
        self._ends["to_server"] = server
        self.flush("to_server")

    def abort(self) -> None:
        """Reset both ends; what was held back never arrives."""
        for direction in DIRECTIONS:
            self._waiting[direction].clear()
            if end := self._ends[direction]:
                reset(end)


class End(asyncio.Protocol):
    """One end: what comes in here goes to the other. `began` is told of the connection, and says whose it is."""

    def __init__(
        self, towards: Direction, began: Callable[[asyncio.Transport], Link], latency: Callable[[], float]
    ) -> None:
        self._towards, self._began, self._latency = towards, began, latency

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._link = self._began(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self._link.take(self._towards, data, self._latency())

    def connection_lost(self, _: Exception | None) -> None:
        self._link.take(self._towards, None, 0.0)
