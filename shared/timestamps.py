"""Dates on the wire: they come in with any offset and go out in UTC with milliseconds and `Z`."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

# Inside what Python and PostgreSQL both hold exactly, in any offset.
EARLIEST = datetime(1000, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, tzinfo=UTC)
_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")


def to_wire(moment: datetime) -> str:
    """Such as 1996-03-08T00:00:00.000Z; the moment must be aware."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def in_range(moment: datetime) -> bool:
    """Whether the moment, which must be aware, can be stored and sent."""
    return EARLIEST <= moment < LATEST


def _must_be_in_range(moment: datetime) -> datetime:
    if not in_range(moment):
        raise PydanticCustomError("date_out_of_range", "must lie between the years 1000 and 9999 in UTC")
    return moment


def _must_be_written_out(value: object) -> object:
    """A bare number would be read as seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and _WRITTEN.match(value)):
        return value
    raise PydanticCustomError("datetime_parsing", "must be a date and time like 1996-03-08T00:00:00Z")


Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_must_be_written_out),
    AfterValidator(_must_be_in_range),
    PlainSerializer(to_wire, return_type=str, when_used="json"),
]
