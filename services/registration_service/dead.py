"""An image whose own message became a dead letter: its row says `dead`, until a replay sets it back to `seen`."""

import json
from collections.abc import Collection

import structlog
from sqlalchemy import func, update

from services.registration_service.database import Database
from services.registration_service.ledger import State
from services.registration_service.models import LedgerEntry

log = structlog.get_logger()

CODE = "dead-letter"


class DeadRows:
    """Marks rows. Only messages of believed publishers count: nobody else can hold an image back by sending rubbish."""

    def __init__(self, database: Database, believed: Collection[str]) -> None:
        self._database = database
        self._believed = believed

    async def mark(self, body: bytes, publisher: str, reason: str) -> None:
        """Where the message names an instance that is not decided, write why into its row. Raises DatabaseAway."""
        orthanc_id = named_instance(body) if publisher in self._believed else None
        if orthanc_id is None:
            return
        undecided = (LedgerEntry.orthanc_id == orthanc_id, LedgerEntry.state == State.SEEN)
        said = f"its message is a dead letter: {reason[:500]}"
        values = {"state": State.DEAD, "code": CODE, "reason": said, "decided_at": func.now()}
        async with self._database.transaction() as session:
            marked = await session.scalar(
                update(LedgerEntry).where(*undecided).values(**values).returning(LedgerEntry.orthanc_id)
            )
        if marked:
            log.error("image.dead", orthanc_id=marked, reason=reason)


def named_instance(body: bytes) -> str | None:
    """The Orthanc id in a message that may be anything; None where there is none."""
    try:
        orthanc_id = json.loads(body)["data"]["orthancInstanceId"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    # PostgreSQL holds neither NUL nor half a character, which JSON lets through.
    fits = isinstance(orthanc_id, str) and orthanc_id.isascii() and "\0" not in orthanc_id
    return orthanc_id if fits else None
