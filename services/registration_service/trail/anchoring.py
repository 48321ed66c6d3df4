"""Writes the head of the audit chain down outside the database: who rewrites the trail cannot rewrite that too.

Each replica keeps a file of its own, best on a disk that only ever grows, and says the same in its log.
"""

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import structlog
from prometheus_client import Gauge

from services.registration_service.database import Database
from services.registration_service.settings import TrailSettings
from services.registration_service.trail.sealing import head
from shared.audit_chain import Anchor, Place

log = structlog.get_logger()

ANCHORED = Gauge("examflow_audit_anchored_seq", "The last place of the audit chain that was written down outside")


class Anchoring:
    """Anchors the chain where it has grown since the last time."""

    def __init__(self, database: Database, settings: TrailSettings) -> None:
        self._database = database
        self._file = settings.anchors
        self._kept = settings.anchors_kept
        self._last = 0

    async def anchor(self) -> None:
        """Write the head down, if it is a new one. Raises OSError where the file cannot be written."""
        async with self._database.transaction() as session:
            place = await head(session)
        if place.seq <= self._last:
            return
        anchor = Anchor(place, datetime.now(UTC))
        if self._file is not None:
            await asyncio.to_thread(_append, self._file, anchor, self._kept)
        log.info("audit.anchored", seq=place.seq, hash=place.hash)
        self._last = place.seq
        ANCHORED.set(place.seq)


def read_anchors(file: Path) -> list[Anchor]:
    """The anchors in a file; a last line that was cut off by a crash is none."""
    if not file.exists():
        return []
    lines = file.read_text().split("\n")
    return [_parsed(line) for line in lines[:-1] if line]


def _parsed(line: str) -> Anchor:
    said = json.loads(line)
    return Anchor(Place(said["seq"], said["hash"]), datetime.fromisoformat(said["at"]))


def _append(file: Path, anchor: Anchor, kept: int) -> None:
    """One line more, on the disk before it counts; of too many the oldest go."""
    line = json.dumps({"seq": anchor.place.seq, "hash": anchor.place.hash, "at": anchor.at.isoformat()})
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    if len(lines) >= kept:
        shorter = file.with_name(f"{file.name}.new")
        shorter.write_text("".join(f"{one}\n" for one in lines[-kept // 2 :]))
        shorter.replace(file)
    with file.open("a") as open_file:
        # What a crash cut off ends here, and is no anchor.
        open_file.write(("\n" if _cut_off(file) else "") + line + "\n")
        open_file.flush()
        os.fsync(open_file.fileno())


def _cut_off(file: Path) -> bool:
    with file.open("rb") as open_file:
        open_file.seek(0, os.SEEK_END)
        if open_file.tell() == 0:
            return False
        open_file.seek(-1, os.SEEK_END)
        return open_file.read(1) != b"\n"
