"""A log line is one line, whatever was asked for."""

import asyncio
import json
import logging
import weakref
from collections.abc import Iterator

import httpx
import pytest

from services.preview_service.app import create_app
from services.preview_service.settings import Settings
from shared.logs import TOGETHER_SECONDS, configure_logs
from tests.unit.hostile_texts import BREAKS, HARMFUL, UNSEEN
from tests.unit.settings import NOWHERE, SHARED


@pytest.fixture
def _own_log() -> Iterator[None]:
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    logging.root.handlers, logging.root.level = handlers, level


@pytest.mark.usefixtures("_own_log")
@pytest.mark.parametrize("text", [*HARMFUL.values(), *BREAKS.values(), *UNSEEN.values()], ids=ascii)
async def test_a_path_in_the_log(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands in it was typed by somebody: the address is logged as the API describes it."""
    asked = {"url": f"http://{NOWHERE}", "token": "x"}
    app = create_app(Settings.model_validate({**SHARED, "registration": asked, "rights": SHARED["broker"]}))
    path = "/dicom/instances/" + "".join(f"%{byte:02x}" for byte in text.encode()) + "/preview"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get(path)
    assert answer.status_code == 401
    logging.root.handlers[0].flush()  # lines wait a moment for others
    [line] = capsys.readouterr().out.splitlines()
    assert (line.isascii(), line.isprintable()) == (True, True)
    assert json.loads(line)["path"] == "/dicom/instances/{orthancInstanceId}/preview"


@pytest.mark.usefixtures("_own_log")
async def test_lines_of_one_moment_are_written_together_and_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("test", "INFO")
    logger = logging.getLogger("test")
    for text in ("one", "two"):
        logger.info(text)
    assert told(capsys) == []
    await asyncio.sleep(2 * TOGETHER_SECONDS)
    assert told(capsys) == ["one", "two"]
    logger.info("three")
    await asyncio.sleep(2 * TOGETHER_SECONDS)
    assert told(capsys) == ["three"]


@pytest.mark.usefixtures("_own_log")
async def test_a_warning_waits_for_nobody_and_overtakes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("test", "INFO")
    logger = logging.getLogger("test")
    logger.info("before")
    logger.warning("trouble")
    assert told(capsys) == ["before", "trouble"]
    await asyncio.to_thread(logger.info, "of a thread")
    assert told(capsys) == ["of a thread"]


@pytest.mark.usefixtures("_own_log")
def test_what_waited_for_a_loop_that_ended_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("test", "INFO")

    async def say(text: str, seconds: float) -> None:
        logging.getLogger("test").info(text)
        await asyncio.sleep(seconds)

    asyncio.run(say("left", 0))
    assert told(capsys) == []
    asyncio.run(say("later", 2 * TOGETHER_SECONDS))
    assert told(capsys) == ["left", "later"]
    asyncio.run(say("at the end", 0))
    logging.shutdown([weakref.ref(logging.root.handlers[0])])
    assert told(capsys) == ["at the end"]


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
