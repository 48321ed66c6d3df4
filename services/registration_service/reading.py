"""Reading an event out of a message. What cannot be read is Hopeless, with the field named and never a value."""

from email.message import Message

from pydantic import ValidationError

from services.registration_service.errors import Hopeless
from shared.events import CONTENT_TYPE, DataT, Event
from shared.validation_words import in_words


def read_event(body: bytes, content_type: str | None, kind: type[Event[DataT]], largest: int) -> Event[DataT]:
    """The event of this kind. `largest` is the greatest body in bytes; a message may leave out its content type."""
    if len(body) > largest:
        raise Hopeless(f"body: larger than {largest} bytes")
    if content_type and _essence(content_type) != CONTENT_TYPE:
        raise Hopeless(f"contentType: must be {CONTENT_TYPE}")
    try:
        event = kind.model_validate_json(body)
    except ValidationError as error:
        raise Hopeless(first_trouble(error)) from None
    if event.type != _type_of(kind):
        raise Hopeless("type: is not taken from this queue")
    return event


def check_way(routing_key: str | None, queue: str, kind: type[Event[DataT]]) -> None:
    """An event comes by its own type, a copy straight into its queue; whatever came otherwise was smuggled.

    RabbitMQ 3.10 checks a publisher's right to the routing key, but not to those in the headers CC and BCC.
    """
    if routing_key not in (queue, _type_of(kind)):
        raise Hopeless("routing key: is not the type that this queue takes")


def first_trouble(error: ValidationError) -> str:
    """The first field that does not fit, and why."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(step) for step in first["loc"]) or "body"
    # A pattern says nothing to a person.
    says = in_words(first).en if first["type"] == "string_pattern_mismatch" else first["msg"]
    return f"{where}: {says}"


def _type_of(kind: type[Event[DataT]]) -> str | None:
    return getattr(kind.model_fields["data"].annotation, "event_type", None)


def _essence(content_type: str) -> str:
    """The media type without its parameters (RFC 9110, 8.3.1)."""
    header = Message()
    header["Content-Type"] = content_type
    return header.get_content_type()
