"""An image's url is stored and given back, and nothing ever asks for what is behind it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from httpx_aiohttp import HttpxAiohttpClient

from deploy.local.system import System
from services.registration_service.app import create_app
from services.registration_service.settings import Settings
from shared.settings import TokenSettings
from tests.integration import accounts, given
from tests.unit.keys import AUDIENCE, ISSUER, token, write_keys

HOST = "viewer.hospital.test"
URL = f"https://{HOST}/study/1.2.3"


class Listener:
    """Where the host would be, for all of this process: who looked for it by `named`, who came by `asked`."""

    def __init__(self) -> None:
        self.port = 0
        self.asked = 0
        self.named = 0

    async def take(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        writer.close()


@pytest.fixture
async def listener(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listener]:
    listener, resolve = Listener(), socket.getaddrinfo

    def led_here(host: Any, *more: Any, **named: Any) -> Any:
        if host not in (HOST, HOST.encode()):
            return resolve(host, *more, **named)
        listener.named += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", listener.port))]

    monkeypatch.setattr(socket, "getaddrinfo", led_here)
    server = await asyncio.start_server(listener.take, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    async with server:
        yield listener


@pytest.fixture
async def app(system: System, tables: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FastAPI]:
    """The registration service in this process, on a database that no other works on."""
    jwks = tmp_path_factory.mktemp("keys") / "jwks.json"
    write_keys(jwks, "rsa")
    app = create_app(
        Settings.model_validate(
            {
                "orthanc": accounts.orthanc(system, "registration"),
                "broker": accounts.broker(system, "registration"),
                "database": accounts.database(system, tables),
                "tokens": TokenSettings(jwks=str(jwks), issuer=ISSUER, audience=AUDIENCE),
                "internal_token": "secret",
                "url_hosts": [HOST],
            }
        )
    )
    async with contextlib.aclosing(app.state.database):
        yield app


async def test_the_listener_would_see_it(listener: Listener) -> None:
    """By both of the clients that the services have: each asks for the name, and one takes the port from the answer."""
    async with httpx.AsyncClient(trust_env=False) as plain, HttpxAiohttpClient(trust_env=False) as fast:
        for client in (plain, fast):
            before = listener.named
            with pytest.raises(httpx.TransportError):
                await client.get(URL)
            assert listener.named > before
    assert listener.asked == 1


async def test_nothing_asks_for_it(app: FastAPI, listener: Listener) -> None:
    exam, image = given.name(), given.image()
    body = given.asked(image, exam, url=URL, orthancInstanceId=None).model_dump(mode="json")
    headers = {"Authorization": f"Bearer {token(scope='images:write images:read exams:write exams:all')}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        opened = await client.put(f"/examens-medicaux/{exam}", json={"principals": ["user:alice"]})
        made = await client.post("/examens-medicaux/images", json=body)
        assert (opened.status_code, made.status_code) == (201, 201)
        image_id = made.json()["imageID"]
        again = await client.post("/examens-medicaux/images", json=body)
        read = await client.get(f"/examens-medicaux/images/{image_id}")
        listed = await client.get(f"/examens-medicaux/{exam}/images")
        moved = await client.put(f"/examens-medicaux/images/{image_id}", json={"examenID": exam})
    assert {answer.status_code for answer in (again, read, listed, moved)} == {200}
    assert [answer.json()["url"] for answer in (made, read, moved)] == [URL] * 3
    assert listed.json()["items"][0]["url"] == URL
    await asyncio.sleep(1.0)  # whoever asked in the background has had the time
    assert (listener.asked, listener.named) == (0, 0)
