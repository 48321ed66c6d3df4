"""Orthanc's change feed: its rows, where it ends, and whether it is still the one that was read before.

Its `Seq` rises for ever; deleting a resource removes its rows; it may be cleared (`DELETE /changes`), and a backup of
the index that is put back brings lower numbers again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.errors import OrthancNonsense
from shared.orthanc import Orthanc

NEW_INSTANCE, UPDATED_METADATA = "NewInstance", "UpdatedMetadata"
_BEYOND = 2**62  # no feed comes that far: the answer tells the newest index of all


@dataclass(frozen=True)
class Change:
    """One row; `instance` says that it is about an instance, and is no part of what is remembered."""

    seq: int
    resource_id: str
    kind: str
    date: str


@dataclass(frozen=True)
class Place:
    """Up to where the feed was read, and the row that stood there; None where none did."""

    seq: int
    change: Change | None


async def changes(orthanc: Orthanc, since: int, limit: int) -> list[Change]:
    """The rows after `since`."""
    return [_change(row) for row in (await _ask(orthanc, since, limit))["Changes"]]


async def end(orthanc: Orthanc) -> Place:
    """Where the feed ends now."""
    newest = int((await _ask(orthanc, _BEYOND, 1))["Last"])
    rows = await changes(orthanc, max(0, newest - 1), 1)
    return Place(newest, rows[0] if rows and rows[0].seq == newest else None)


async def is_the_same(orthanc: Orthanc, place: Place, page: Sequence[Change]) -> bool:
    """Whether the feed of this page, which began before `place`, is the one that was read up to there.

    A row that is gone may mean no more than a deleted image. But where the feed was cleared, no row before it is left
    either, and where an older index was put back, the feed ends earlier or has another row there.
    """
    for change in page:
        if change.seq == place.seq:
            return place.change in (change, None)
    if place.change is None:  # nothing to compare with: the next row must follow directly
        following = [change for change in page if change.seq > place.seq]
        if not following:
            if (await end(orthanc)).seq == place.seq:
                return True
            following = await changes(orthanc, place.seq, 1)  # it may have come since the page was read
        return bool(following) and following[0].seq == place.seq + 1
    first = await changes(orthanc, 0, 1)
    return bool(first) and first[0].seq < place.seq and (await end(orthanc)).seq >= place.seq


async def _ask(orthanc: Orthanc, since: int, limit: int) -> dict[str, Any]:
    found = await orthanc.read("/changes", since=since, limit=limit)
    if not isinstance(found, dict) or "Changes" not in found or "Last" not in found:
        raise OrthancNonsense(what="no changes")
    return found


def _change(row: dict[str, Any]) -> Change:
    """UpdatedMetadata is said of every level, by instance alone here."""
    kind = row["ChangeType"]
    if kind == UPDATED_METADATA and row["ResourceType"] != "Instance":
        kind += row["ResourceType"]
    return Change(int(row["Seq"]), row["ID"], kind, row["Date"])
