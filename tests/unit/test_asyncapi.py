"""docs/asyncapi.json: what it refers to is there, its examples are read, and it says what the broker does."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from docs.asyncapi import document
from services.operator.partner_rights import MAY_HEAR, MAY_PUBLISH
from shared.events import Event, EventData
from tests.unit.test_local_definitions import SOURCE, may

WHOLE = document()
MESSAGES = WHOLE["components"]["messages"]
EVENTS = {data.event_type: data for data in EventData.__subclasses__()}
# What no partner may hear or say.
OURS_ALONE = {"audit.recorded"}


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _found(reference: str) -> Any:
    found: Any = WHOLE
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_every_reference_resolves() -> None:
    references = list(_references(WHOLE))
    assert len(references) > 50
    for reference in references:
        assert reference.startswith("#/"), reference
        assert _found(reference), reference


def test_every_event_that_partners_see_is_there() -> None:
    assert set(MESSAGES) == {*MAY_PUBLISH, *MAY_HEAR} == set(EVENTS) - OURS_ALONE


@pytest.mark.parametrize("key", MESSAGES)
def test_every_example_is_read_by_the_model_that_its_schema_is_made_of(key: str) -> None:
    for example in MESSAGES[key]["examples"]:
        event = Event[EVENTS[key]].model_validate_json(json.dumps(example["payload"]))  # type: ignore[valid-type]
        assert event.type == key
        schema = _found(MESSAGES[key]["payload"]["$ref"])
        assert schema["properties"]["type"] == {"const": key}
        assert set(example["payload"]) >= set(schema["required"])


@pytest.mark.parametrize("key", MESSAGES)
def test_a_partner_sends_what_it_may_and_receives_the_rest(key: str) -> None:
    operation, channel = WHOLE["operations"][key], WHOLE["channels"][key]
    assert operation["action"] == ("send" if key in MAY_PUBLISH else "receive")
    assert operation["channel"] == {"$ref": f"#/channels/{key}"}
    assert channel["address"] == key
    assert channel["bindings"]["amqp"]["exchange"]["name"] == "medical-images"
    properties = _found(MESSAGES[key]["x-amqp-properties"]["$ref"])
    assert {"user_id", "content_type", "delivery_mode", "message_id"} <= set(properties["required"])


def test_what_it_receives_is_what_registration_may_announce() -> None:
    definitions = json.loads(SOURCE.read_text())
    assert all(may(definitions, "registration", key) for key in MAY_HEAR)
    read = WHOLE["operations"]["read"]["messages"]
    assert {reference["$ref"].rpartition("/")[2] for reference in read} == set(MAY_HEAR)


def test_its_queue_is_bounded_as_the_policy_says() -> None:
    [policy] = [policy for policy in json.loads(SOURCE.read_text())["policies"] if policy["name"] == "partner"]
    queue = WHOLE["channels"]["partnerQueue"]
    assert re.search(policy["pattern"], queue["address"])
    bounds = policy["definition"]
    assert bounds["overflow"] == "drop-head"
    said = f"{bounds['max-length']} messages and {bounds['max-length-bytes'] // 2**20} MiB"
    assert said in queue["description"]
