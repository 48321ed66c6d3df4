"""The hash chain of the audit trail: what a link covers, and how the first wrong record is found.

Each link's hash is SHA-256 over the hash before it and the record's canonical form: JSON with sorted keys and without
blanks (RFC 8785, which for text and whole numbers is no more than that), absent fields left out, so that a field that
is added later changes no older hash. Whoever alters a record and computes all later hashes anew is found by an anchor:
the head of the chain as it was written down elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

GENESIS = "0" * 64  # the hash before the first record
PRUNED_ACTION = "audit.prune"  # the record of a pruning; its subject is what `pruned_subject` makes
_SLACK = timedelta(days=1)


@dataclass(frozen=True)
class Place:
    """A place in the chain: a number that counts up from 1 without a gap, and the hash there."""

    seq: int
    hash: str


@dataclass(frozen=True)
class Link:
    """A record in its place; None where the chain has the place, and the trail no record for it."""

    place: Place
    record: Mapping[str, str] | None


@dataclass(frozen=True)
class Anchor:
    """The head of the chain as it stood at a time, written down outside the database."""

    place: Place
    at: datetime


@dataclass(frozen=True)
class Pruning:
    """Up to which place old records were removed, when, and how many days they had to be kept."""

    to: Place
    at: datetime
    days: int


@dataclass(frozen=True)
class Wrong:
    """The first place that is not as it was written, and what is wrong there."""

    seq: int
    what: str


def chained(before: str, seq: int, record: Mapping[str, str | None]) -> str:
    """The hash of a record at a place, in hex."""
    content = {"seq": seq} | {name: value for name, value in record.items() if value is not None}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(before.encode() + canonical.encode()).hexdigest()


def pruned_subject(to: Place) -> str:
    """What the record of a pruning names: the last place that was removed."""
    return f"{to.seq}:{to.hash}"


class Verification:
    """Reads the chain from its beginning, link by link, and stops at the first wrong one."""

    def __init__(self, anchors: Iterable[Anchor], pruning: Pruning | None) -> None:
        self.wrong: Wrong | None = None
        self.head = pruning.to if pruning else Place(0, GENESIS)
        self._pruning = pruning
        self._pruning_told = pruning is None
        self._anchored = 0
        self._anchors: dict[int, Anchor] = {}
        for anchor in anchors:
            self._take(anchor)

    @property
    def anchored(self) -> int:
        """The last place up to which an anchor vouches for the chain as it was read."""
        return self._anchored

    def read(self, link: Link) -> None:
        """The next link; nothing more is looked at once one is wrong."""
        if self.wrong is None:
            self.wrong = self._trouble(link)
            self.head = link.place

    def finish(self) -> Wrong | None:
        """What is wrong in all, once the last link was read: the chain may also end too early."""
        if self.wrong is None and self._anchors and max(self._anchors) > self.head.seq:
            first = min(seq for seq in self._anchors if seq > self.head.seq)
            when = self._anchors[first].at.isoformat()
            return Wrong(self.head.seq + 1, f"is missing: the chain ends before it, and reached {first} at {when}")
        if self.wrong is None and not self._pruning_told and self._pruning:
            return Wrong(
                self._pruning.to.seq, "and those before it were removed, and no record in the trail tells of it"
            )
        return self.wrong

    def _take(self, anchor: Anchor) -> None:
        known = self._anchors.setdefault(anchor.place.seq, anchor)
        if known.place.hash != anchor.place.hash:
            self.wrong = self.wrong or Wrong(anchor.place.seq, "has two anchors that contradict each other")
        pruning = self._pruning
        if pruning is None or anchor.place.seq > pruning.to.seq:
            return
        if anchor.at > pruning.at - timedelta(days=pruning.days) + _SLACK:
            kept = f"{pruning.days} days"
            self.wrong = self.wrong or Wrong(anchor.place.seq, f"was removed before it was {kept} old")

    def _trouble(self, link: Link) -> Wrong | None:
        place, before = link.place, self.head
        if place.seq != before.seq + 1:
            return Wrong(before.seq + 1, "is missing")
        if link.record is None:
            return Wrong(place.seq, "is missing: its place stands in the chain, and the record is gone")
        if chained(before.hash, place.seq, link.record) != place.hash:
            return Wrong(place.seq, "was altered, or swapped with another")
        anchor = self._anchors.get(place.seq)
        if anchor and anchor.place.hash != place.hash:
            when = anchor.at.isoformat()
            return Wrong(self._anchored + 1, f"or one after it, up to {place.seq}, was rewritten since {when}")
        if anchor:
            self._anchored = place.seq
        if self._pruning and link.record.get("action") == PRUNED_ACTION:
            self._pruning_told = self._pruning_told or link.record.get("subject") == pruned_subject(self._pruning.to)
        return None
