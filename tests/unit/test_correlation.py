"""X-Correlation-ID: a sane one is taken, another is replaced, and each is answered."""

import uuid

import httpx
import pytest
from fastapi import FastAPI

from shared import correlation
from shared.correlation import HEADER, correlation_id


async def asked_with(*values: bytes) -> tuple[str, str]:
    """The id that the request was handled under, and the one that was answered."""
    app = FastAPI()
    correlation.install(app)

    @app.get("/")
    async def current() -> str | None:
        return correlation_id.get()

    headers = [(HEADER.encode(), value) for value in values]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/", headers=headers)
    return answer.json(), answer.headers[HEADER]


@pytest.mark.parametrize(
    "given",
    [b"a", b"0", b"abc-DEF_1.2", b"x" * 64, b"--", b"...", b"7d444840-9dc0-11d1-b245-5ffdce74fad2"],
)
async def test_a_sane_one_is_taken(given: bytes) -> None:
    assert await asked_with(given) == (given.decode(), given.decode())


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b" ",
        b"x" * 65,
        b"a b",
        b"a\tb",
        b"a/b",
        b"a;b",
        b"a,b",
        b'a"b',
        b"a=b",
        b"{jndi:ldap://x}",
        b"<script>",
        "é".encode("latin-1"),
        "é".encode(),
        b"a%0Ab",
    ],
)
async def test_another_is_replaced(given: bytes) -> None:
    handled, answered = await asked_with(given)
    assert handled == answered
    assert uuid.UUID(answered).version == 7


async def test_one_is_made_where_there_is_none() -> None:
    handled, answered = await asked_with()
    assert handled == answered
    assert uuid.UUID(answered).version == 7
    assert (await asked_with())[1] != answered
