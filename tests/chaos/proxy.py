"""A TCP proxy in front of one server: it holds back bytes, delays them, cuts links, and refuses new ones.

A link that is held passes nothing on, neither bytes nor its end: to both sides the other looks alive and silent.
"""

import asyncio
import contextlib

from deploy.local.ports import HOST
from tests.chaos.background import Background
from tests.chaos.link import DIRECTIONS, Direction, End, Link


class Proxy:
    """Listens on `port` for a server on `target`. Its methods are for the test's thread."""

    def __init__(self, background: Background, port: int, target: int) -> None:
        self._background, self._port, self._target = background, port, target
        self._leads_to = target
        self._half_open: set[Link] = set()
        self._server: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._held: set[tuple[Direction, str | None]] = set()
        self._latency = 0.0

    def listen(self) -> None:
        """Take connections."""
        if self._server is None:
            self._server = self._background.run(self._listening())

    def refuse(self) -> None:
        """Take no more connections, as where no server runs, and cut those that stand."""
        if self._server is not None:
            self._background.call(self._server.close)
            self._server = None
        self.cut()

    def cut(self, by: str | None = None) -> None:
        """Reset the links (of one service); what was held back in them never arrives."""

        def cut() -> None:
            for link in self._standing(by):
                link.abort()

        self._background.call(cut)

    def hold(self, *directions: Direction, by: str | None = None) -> None:
        """Pass nothing on in these directions (both if none is named), for one service or for all."""

        def hold() -> None:
            self._standing(by)  # asks now who calls: of a process that was killed nobody can tell
            self._held |= {(direction, by) for direction in directions or DIRECTIONS}

        self._background.call(hold)

    def half_open(self) -> None:
        """The links that stand pass nothing on any more, as if a router between had forgotten them; new ones work."""
        self._background.call(lambda: self._half_open.update(self._standing(None)))

    def lead_to(self, port: int) -> None:
        """Another server takes the place of ours; the links that stand are cut."""
        self._leads_to = port
        self.cut()

    def holding(self, direction: Direction, by: str | None = None) -> int:
        """How many links hold something back."""
        return self._background.call(lambda: sum(link.is_holding(direction) for link in self._standing(by)))

    def open(self, by: str | None = None) -> int:
        """How many links stand."""
        return self._background.call(lambda: len(self._standing(by)))

    def delay(self, seconds: float) -> None:
        """Each piece that comes from now on arrives this much later, in both directions."""
        self._latency = seconds

    def heal(self) -> None:
        """Everything flows again, what was held back first."""
        self._latency, self._leads_to = 0.0, self._target
        self._background.call(self._release)
        self.listen()

    def release(self, by: str) -> None:
        """What was held for this service alone flows again; all other faults stay."""
        self._background.call(lambda: self._release(by))

    def _release(self, by: str | None = None) -> None:
        self._held = {held for held in self._held if by and held[1] != by}
        self._half_open -= set(self._standing(by))
        for link in self._standing(by):
            for direction in DIRECTIONS:
                link.flush(direction)

    def _standing(self, by: str | None) -> list[Link]:
        self._links = {link for link in self._links if not link.is_over}
        return [link for link in self._links if by in (None, link.caller)]

    def _is_held(self, link: Link, direction: Direction) -> bool:
        if link in self._half_open:
            return True
        return any(held == direction and by in (None, link.caller) for held, by in self._held)

    async def _listening(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: End("to_server", self._begin, lambda: self._latency), HOST, self._port)

    def _begin(self, client: asyncio.Transport) -> Link:
        link = Link(client, self._port, self._is_held)
        self._links.add(link)
        asyncio.get_running_loop().create_task(self._connect(link))
        return link

    async def _connect(self, link: Link) -> None:
        def begin(server: asyncio.Transport) -> Link:
            link.connected(server)
            return link

        with contextlib.suppress(OSError):
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: End("to_client", begin, lambda: self._latency), HOST, self._leads_to)
            return
        link.abort()
