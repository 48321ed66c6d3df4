"""A log line is one line, whatever was asked for."""

import json
import logging
from collections.abc import Iterator

import httpx
import pytest

from services.preview_service.app import create_app
from services.preview_service.settings import Settings
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
    [line] = capsys.readouterr().out.splitlines()
    assert (line.isascii(), line.isprintable()) == (True, True)
    assert json.loads(line)["path"] == "/dicom/instances/{orthancInstanceId}/preview"
