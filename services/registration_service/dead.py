"""An image whose own message became a dead letter: its row says `dead`, until a replay sets it back to `seen`."""

import json
from collections.abc import Collection, Iterable

import structlog
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

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

    async def revive(self, session: AsyncSession, messages: Iterable[tuple[bytes, str]]) -> None:
        """Set the rows that are dead for these messages (body, publisher) back to `seen`, for they are sent again.

        Where that comes to nothing, the reconciler tells of the image, as of everything that stays `seen`.
        """
        ids = {named_instance(body) for body, publisher in messages if publisher in self._believed} - {None}
        dead = (LedgerEntry.orthanc_id.in_(ids), LedgerEntry.state == State.DEAD)
        alive = {"state": State.SEEN, "code": None, "reason": None, "publish_after": None, "decided_at": None}
        await session.execute(update(LedgerEntry).where(*dead).values(**alive))


def named_instance(body: bytes) -> str | None:
    """The Orthanc id in a message that may be anything; None where there is none."""
    try:
        orthanc_id = json.loads(body)["data"]["orthancInstanceId"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return orthanc_id if isinstance(orthanc_id, str) and "\0" not in orthanc_id else None
