"""What is left of a short body is read before an early answer goes out; a long or a slow one is not waited for."""

import asyncio
from collections.abc import Sequence

import pytest
from starlette.types import Message, Receive, Scope, Send

from services.upload_service.draining import DRAINED_BYTES, Draining


class Server:
    """The server's side of one request: a body in pieces, and what was read of it when the answer began."""

    def __init__(self, pieces: Sequence[bytes], *, stalls: bool = False, leaves: bool = False) -> None:
        self._pieces = list(pieces)
        self._stalls = stalls
        self._leaves = leaves
        self.read = 0
        self.read_before_the_answer: int | None = None
        self.sent: list[str] = []

    async def receive(self) -> Message:
        if not self._pieces:
            if self._stalls:
                await asyncio.Event().wait()
            assert self._leaves, "a server answers this only when the client has gone"
            return {"type": "http.disconnect"}
        piece = self._pieces.pop(0)
        self.read += len(piece)
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces) or self._stalls or self._leaves}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.read_before_the_answer = self.read
        self.sent.append(message["type"])


def refusing_after(messages: int, status: int = 400) -> Draining:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(messages):
            await receive()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return Draining(app)


async def ask(app: Draining, server: Server, length: bytes | None = None) -> int | None:
    headers = [] if length is None else [(b"content-length", length)]
    await app({"type": "http", "headers": headers}, server.receive, server.send)
    assert server.sent == ["http.response.start", "http.response.body"]
    return server.read_before_the_answer


@pytest.mark.parametrize("messages", [0, 1, 3])
@pytest.mark.parametrize("length", [b"3000", b"0", str(DRAINED_BYTES).encode(), None])
async def test_a_short_body_is_read_first(messages: int, length: bytes | None) -> None:
    assert await ask(refusing_after(messages), Server([b"x" * 1000] * 3), length) == 3000


@pytest.mark.parametrize("length", [str(DRAINED_BYTES + 1).encode(), b"2147483648", b"many", b"-1"])
async def test_a_long_body_is_not(length: bytes) -> None:
    assert await ask(refusing_after(1), Server([b"x" * 1000] * 3), length) == 1000


async def test_who_was_cut_for_slowness_is_not_waited_for() -> None:
    assert await ask(refusing_after(1, 408), Server([b"x" * 1000] * 3), b"3000") == 1000


async def test_a_body_that_says_nothing_of_its_length_is_read_only_so_far() -> None:
    read = await ask(refusing_after(0), Server([b"x" * 65536] * 100))
    assert read == DRAINED_BYTES


async def test_a_body_that_stalls_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.upload_service.draining.DRAINED_SECONDS", 0.05)
    async with asyncio.timeout(2):
        assert await ask(refusing_after(0), Server([b"x"], stalls=True), b"1000") == 1


async def test_a_client_that_left_is_not_waited_for() -> None:
    assert await ask(refusing_after(1), Server([], leaves=True), b"1000") == 0
    assert await ask(refusing_after(1), Server([b"x"], leaves=True), b"1000") == 1
    assert await ask(refusing_after(0), Server([b"x"], leaves=True), b"1000") == 1


async def test_other_scopes_pass() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    server = Server([])
    await Draining(app)({"type": "lifespan"}, server.receive, server.send)
    assert seen == ["lifespan"]
