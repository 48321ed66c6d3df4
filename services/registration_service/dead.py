"""What the ledger says of an image whose own message fails: told again later, then `dead`, until a replay.

A row is touched by its image's own message alone, and only while nothing is decided about it.
"""

import json
from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import ledger
from services.registration_service.database import Database
from services.registration_service.ledger import State
from services.registration_service.models import LedgerEntry
from shared.events import DicomStored, Event
from shared.texts import is_name

log = structlog.get_logger()

CODE = "dead-letter"
BACKLOG_SECONDS = 300.0  # a copy that comes back stands behind others for so long, and after a longer pause for longer


class DeadRows:
    """Marks rows. Only messages of believed publishers count: nobody else can hold an image back by sending rubbish."""

    def __init__(self, database: Database, believed: Collection[str]) -> None:
        self._database = database
        self._believed = believed

    async def remember(self, body: bytes, publisher: str) -> None:
        """Note what the message says of an image that nothing is decided about. Raises DatabaseAway.

        Else its sender and exam would stand in no row until an attempt succeeds, and what the reconciler tells of the
        image meanwhile, knowing neither, would leave it waiting for nobody knows what.
        """
        if named_instance(body) is None or publisher not in self._believed:
            return
        try:
            event = Event[DicomStored].model_validate_json(body)
        except ValidationError:
            return
        async with self._database.transaction() as session:
            entry = await ledger.find(session, event.data.orthanc_instance_id, hold=True)
            if entry is None or entry.state == State.SEEN:
                await ledger.note_stored(session, event.data, event.time)

    async def expect_again(self, body: bytes, publisher: str, pause: float) -> None:
        """Its message comes back after this pause: until it is worked on, the reconciler has no reason to tell it.

        What it would tell knows neither exam nor uploader, and would be one more dead letter in the end.
        Raises DatabaseAway.
        """
        back = func.now() + timedelta(seconds=pause + max(pause, BACKLOG_SECONDS))
        later = func.greatest(LedgerEntry.publish_after, back)
        await self._update(body, publisher, {"publish_after": later})

    async def mark(self, body: bytes, publisher: str, reason: str) -> None:
        """Where the message names an instance that is not decided, write why into its row. Raises DatabaseAway."""
        said = f"its message is a dead letter: {reason[:500]}"
        values = {"state": State.DEAD, "code": CODE, "reason": said, "decided_at": func.now()}
        if marked := await self._update(body, publisher, values):
            log.error("image.dead", orthanc_id=marked, reason=reason)

    async def revive(self, session: AsyncSession, messages: Iterable[tuple[bytes, str]]) -> None:
        """Set the rows that are dead for these messages (body, publisher) back to `seen`, for they are sent again.

        Where that comes to nothing, the reconciler tells of the image, as of everything that stays `seen`.
        """
        ids = {named_instance(body) for body, publisher in messages if publisher in self._believed} - {None}
        dead = (LedgerEntry.orthanc_id.in_(ids), LedgerEntry.state == State.DEAD)
        alive = {"state": State.SEEN, "code": None, "reason": None, "publish_after": None, "decided_at": None}
        await session.execute(update(LedgerEntry).where(*dead).values(**alive))

    async def _update(self, body: bytes, publisher: str, values: dict[str, Any]) -> str | None:
        orthanc_id = named_instance(body) if publisher in self._believed else None
        if orthanc_id is None:
            return None
        undecided = (LedgerEntry.orthanc_id == orthanc_id, LedgerEntry.state == State.SEEN)
        changed = update(LedgerEntry).where(*undecided).values(**values).returning(LedgerEntry.orthanc_id)
        async with self._database.transaction() as session:
            return await session.scalar(changed)


def named_instance(body: bytes) -> str | None:
    """The Orthanc id in a message that may be anything; None where there is none."""
    try:
        orthanc_id = json.loads(body)["data"]["orthancInstanceId"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    # PostgreSQL holds neither NUL nor half a character, which JSON lets through.
    return orthanc_id if is_name(orthanc_id) and orthanc_id.isascii() else None
