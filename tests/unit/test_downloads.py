"""How slowly an answer may be taken, with a reader that this test plays."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.preview_service.downloads import Download
from services.preview_service.settings import DownloadSettings

PIECES = [b"p" * 100] * 20


class Reader:
    """Takes each piece after so many seconds; `pause` is told how many came before."""

    def __init__(self, pause: Callable[[int], float]) -> None:
        self._pause = pause
        self.messages: list[dict[str, Any]] = []
        self.closed = 0

    async def send(self, message: Any) -> None:
        await asyncio.sleep(self._pause(len(self.messages)))
        self.messages.append(message)

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    async def close(self) -> None:
        self.closed += 1

    @property
    def taken(self) -> int:
        return sum(len(message.get("body", b"")) for message in self.messages)

    @property
    def ended(self) -> bool:
        return self.messages[-1].get("more_body") is False


async def _flow(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _read(reader: Reader, pieces: AsyncIterator[bytes], **settings: float) -> None:
    paced = DownloadSettings.model_validate({"window_seconds": 0.2, "least_rate": 1000} | settings)
    answer = Download(pieces, paced, kind="application/dicom", headers={}, close=reader.close)
    async with asyncio.timeout(10):
        await answer({"type": "http", "asgi": {"spec_version": "2.3"}}, reader.receive, reader.send)


def _cut() -> float:
    return REGISTRY.get_sample_value("examflow_downloads_cut_total") or 0.0


async def test_a_quick_reader_gets_it_whole() -> None:
    reader, before = Reader(lambda _: 0.0), _cut()
    await _read(reader, _flow(PIECES))
    assert (reader.taken, reader.ended, reader.closed > 0, _cut()) == (2000, True, True, before)


async def test_one_that_stalls_is_cut() -> None:
    reader, before = Reader(lambda before: 9.0 if before > 5 else 0.0), _cut()
    await _read(reader, _flow(PIECES))
    assert (reader.taken, reader.ended, reader.closed > 0, _cut()) == (500, False, True, before + 1)


async def test_one_that_drips_is_cut() -> None:
    reader, before = Reader(lambda _: 0.15), _cut()  # 667 bytes a second, and never a pause of 0.2 s
    await _read(reader, _flow(PIECES))
    assert (reader.taken < 2000, reader.ended, _cut()) == (True, False, before + 1)
    patient = Reader(lambda _: 0.15)
    await _read(patient, _flow(PIECES[:6]), least_rate=100, window_seconds=0.6)
    assert (patient.taken, patient.ended) == (600, True)


async def test_the_time_in_which_the_source_is_waited_for_does_not_count() -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for piece in PIECES[:4]:
            await asyncio.sleep(0.3)
            yield piece

    reader, before = Reader(lambda _: 0.0), _cut()
    await _read(reader, slowly())
    assert (reader.taken, reader.ended, _cut()) == (400, True, before)


async def test_it_is_closed_where_its_source_fails() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"p"
        raise ConnectionError

    reader = Reader(lambda _: 0.0)
    with pytest.raises(ConnectionError):
        await _read(reader, failing())
    assert (reader.closed > 0, reader.ended) == (True, False)
