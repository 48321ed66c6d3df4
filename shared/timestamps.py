"""Dates on the wire: UTC with milliseconds and `Z`."""

from datetime import UTC, datetime


def to_wire(moment: datetime) -> str:
    """Such as 1996-03-08T00:00:00.000Z; the moment must be aware."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
