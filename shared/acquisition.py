"""When an image was acquired: the first usable of several DICOM dates (PS3.3 C.7), in UTC."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from pydicom.valuerep import DA, DT, TM

from shared.timestamps import in_range

_DAY = re.compile(r"[0-9]{8}")
_OFFSET = re.compile(r"[+-][0-9]{4}")
_DATED = ("Acquisition", "Content", "Series", "Study")
ACQUISITION_TAGS = (
    "TimezoneOffsetFromUTC",
    "AcquisitionDateTime",
    *(f"{of}{part}" for of in _DATED for part in ("Date", "Time")),
)


def acquisition_date(tags: Mapping[str, str | None], facility_zone: str) -> datetime | None:
    """AcquisitionDateTime, else the date and time of acquisition, content, series or study; None if there is none.

    `tags` has the values of ACQUISITION_TAGS as plain text, without padding, as far as there are any. The offset is
    the value's own, else TimezoneOffsetFromUTC, else the facility's zone.
    """
    zone = _offset(tags.get("TimezoneOffsetFromUTC")) or ZoneInfo(facility_zone)
    found = _datetime(tags.get("AcquisitionDateTime"))
    for of in _DATED:
        found = found or _date_and_time(tags.get(f"{of}Date"), tags.get(f"{of}Time"))
    if found is None:
        return None
    moment = found if found.tzinfo else found.replace(tzinfo=zone)
    return moment.astimezone(UTC) if in_range(moment) else None


def _datetime(text: str | None) -> datetime | None:
    """A DT value (PS3.5 6.2), which may stop after any part from the day on."""
    if text is None or not _DAY.match(text):
        return None
    try:
        parsed = DT(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return None if parsed is None else datetime.fromisoformat(parsed.isoformat())


def _date_and_time(date: str | None, clock: str | None) -> datetime | None:
    """A DA and a TM value; without a usable time, the day's beginning."""
    try:
        day = DA(date)
    except (ValueError, TypeError):
        return None
    if day is None:
        return None
    try:
        moment = TM(clock)
    except (ValueError, TypeError):
        moment = None
    return datetime.combine(day, moment or time.min)


def _offset(text: str | None) -> tzinfo | None:
    """TimezoneOffsetFromUTC, such as +0130."""
    if text is None or not _OFFSET.fullmatch(text):
        return None
    ahead = timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))
    return timezone(ahead if text[0] == "+" else -ahead) if ahead < timedelta(hours=24) else None
