"""Each event has one full example under docs/events, written by hand; it says every field, and is read as it stands."""

import json
from pathlib import Path

import pytest

from shared.events import Event, EventData

EXAMPLES = Path(__file__).parents[2] / "docs" / "events"


@pytest.mark.parametrize("data", EventData.__subclasses__(), ids=lambda data: data.event_type)
def test_example(data: type[EventData]) -> None:
    text = (EXAMPLES / f"{data.event_type}.example.json").read_text()
    event = Event[data].model_validate_json(text)  # type: ignore[valid-type]
    assert event.type == data.event_type
    assert json.loads(event.model_dump_json(by_alias=True)) == json.loads(text)
