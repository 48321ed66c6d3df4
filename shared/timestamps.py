"""Dates on the wire: they come in with any offset and go out in UTC with milliseconds and `Z`."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, PlainSerializer


def to_wire(moment: datetime) -> str:
    """Such as 1996-03-08T00:00:00.000Z; the moment must be aware."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[AwareDatetime, PlainSerializer(to_wire, return_type=str, when_used="json")]
