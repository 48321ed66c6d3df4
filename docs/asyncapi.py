"""The AsyncAPI 3.0 document of what goes over the broker, as a partner sees it: what it sends, what it receives."""

import json
from pathlib import Path
from typing import Any

from services.operator.partner_rights import EXCHANGE, MAY_HEAR, MAY_PUBLISH, queue_of
from shared.events import CONTENT_TYPE, Event, EventData

EXAMPLES = Path(__file__).parent / "events"
BINDINGS = "0.3.0"
QUEUE = "partnerQueue"
SAID, HEARD = "AmqpPropertiesSaid", "AmqpPropertiesHeard"
Json = dict[str, Any]

ABOUT = """\
What a hospital system, a partner, exchanges with Examflow over RabbitMQ (AMQP 0-9-1). `examflow partner add` makes its
user and its queue; docs/partners.md tells how to begin, with an example that runs.

The operations are those of a partner: it sends `dicom.stored` and `exam.upserted`, and receives what registration
announces. Delivery is at least once and order is not promised: know an event by its `source` and `id`, an exam's state
by its `version`. Unknown fields are ignored, and new ones may come at any time.
"""


def document() -> Json:
    """All of it; made of the models in shared/events.py and of the examples beside it."""
    events = {data.event_type: data for data in EventData.__subclasses__()}
    known = [key for key in (*MAY_PUBLISH, *MAY_HEAR) if key in events]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Examflow events for partners", "version": "1", "description": ABOUT},
        "defaultContentType": CONTENT_TYPE,
        "servers": {"broker": _server()},
        "channels": {**{key: _channel(key, events[key]) for key in known}, QUEUE: _queue()},
        "operations": {**{key: _operation(key) for key in known}, "read": _reading()},
        "components": {
            "securitySchemes": {
                "user": {"type": "userPassword", "description": "As `examflow partner add` told them."}
            },
            "messages": {key: _message(key, events[key]) for key in known},
            "schemas": {**_schemas([events[key] for key in known]), **_properties()},
        },
    }


def _server() -> Json:
    return {
        "host": "{host}:{port}",
        "protocol": "amqp",
        "protocolVersion": "0.9.1",
        "pathname": "/",
        "description": "RabbitMQ, 3.10 or later. Where it stands behind TLS the protocol is amqps.",
        "variables": {"host": {"default": "localhost"}, "port": {"default": "5672"}},
        "security": [_to("components/securitySchemes/user")],
    }


def _channel(key: str, data: type[EventData]) -> Json:
    exchange = {"name": EXCHANGE, "type": "topic", "durable": True, "autoDelete": False, "vhost": "/"}
    return {
        "address": key,
        "title": _first_line(data),
        "description": f"The routing key of the topic exchange `{EXCHANGE}`, which is also the event's `type`.",
        "servers": [_to("servers/broker")],
        "messages": {key: _to(f"components/messages/{key}")},
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": BINDINGS}},
    }


def _queue() -> Json:
    queue = {"name": queue_of("{name}"), "durable": True, "exclusive": False, "autoDelete": False, "vhost": "/"}
    return {
        "address": queue_of("{name}"),
        "title": "The partner's own queue.",
        "description": (
            "It is there: a partner declares nothing. Bounded to 100000 messages and 256 MiB; when it is full the"
            " oldest are dropped, so read it without long pauses. The partner may bind it to, and unbind it from, each"
            f" of {', '.join(MAY_HEAR)}."
        ),
        "servers": [_to("servers/broker")],
        "parameters": {"name": {"description": "the partner's user"}},
        "messages": {key: _to(f"components/messages/{key}") for key in MAY_HEAR},
        "bindings": {"amqp": {"is": "queue", "queue": queue, "bindingVersion": BINDINGS}},
    }


def _operation(key: str) -> Json:
    said = key in MAY_PUBLISH
    amqp = {"deliveryMode": 2, "mandatory": True} if said else {"ack": True}
    how = "Publish it, and wait for the broker's confirm." if said else "Read it from the queue that is bound to it."
    return {
        "action": "send" if said else "receive",
        "channel": _to(f"channels/{key}"),
        "summary": how,
        "messages": [_to(f"channels/{key}/messages/{key}")],
        "bindings": {"amqp": {**amqp, "bindingVersion": BINDINGS}},
    }


def _reading() -> Json:
    return {
        "action": "receive",
        "channel": _to(f"channels/{QUEUE}"),
        "summary": "Read all that the queue is bound to, and acknowledge each message once it is done with.",
        "messages": [_to(f"channels/{QUEUE}/messages/{key}") for key in MAY_HEAR],
        "bindings": {"amqp": {"ack": True, "bindingVersion": BINDINGS}},
    }


def _message(key: str, data: type[EventData]) -> Json:
    # Where a partner says less than a service of ours does, there is an example of its own.
    own, full = EXAMPLES / f"{key}.partner.example.json", EXAMPLES / f"{key}.example.json"
    example = json.loads((own if own.exists() else full).read_text())
    return {
        "name": key,
        "title": key,
        "summary": _first_line(data),
        "contentType": CONTENT_TYPE,
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": _to(f"components/schemas/{key}"),
        "bindings": {"amqp": {"messageType": key, "bindingVersion": BINDINGS}},
        "x-amqp-properties": _to(f"components/schemas/{SAID if key in MAY_PUBLISH else HEARD}"),
        "examples": [{"name": key, "payload": example}],
    }


def _schemas(some: list[type[EventData]]) -> Json:
    """Each event's envelope by its type, and the parts that they are made of by their names."""
    schemas: Json = {}
    for data in some:
        schema = Event[data].model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")  # type: ignore[valid-type]
        schemas.update(schema.pop("$defs"))
        schema["properties"]["type"] = {"const": data.event_type}
        schemas[data.event_type] = schema
    return dict(sorted(schemas.items()))


def _properties() -> Json:
    """What stands beside a message's body in AMQP: properties, no headers."""
    text = {"type": "string"}
    properties: Json = {
        "content_type": {"const": CONTENT_TYPE, "description": "another one makes the event a dead letter"},
        "delivery_mode": {"const": 2, "description": "persistent: else a restart of the broker loses it"},
        "message_id": {**text, "description": "the event's `id`: by it a dead letter is found again"},
        "user_id": {
            **text,
            "description": "the partner's user; the broker refuses another. Without it the actor is unknown",
        },
        "correlation_id": {**text, "description": "the event's `correlationid`"},
        "type": {**text, "description": "the event's `type`"},
    }
    user = {"const": "registration", "description": "a message with another user, or without, is not Examflow's"}
    required = ["content_type", "delivery_mode", "message_id", "user_id"]
    return {
        SAID: {"type": "object", "required": required, "properties": properties},
        HEARD: {"type": "object", "required": required, "properties": {**properties, "user_id": user}},
    }


def _to(path: str) -> Json:
    return {"$ref": f"#/{path}"}


def _first_line(data: type[EventData]) -> str:
    return (data.__doc__ or "").partition("\n")[0]
