"""The audit trail's way in: a record is added in the transaction of what it tells, and never changed."""

import hashlib
from collections import deque
from collections.abc import Collection, Iterable
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service.database import Database
from services.registration_service.errors import Hopeless
from services.registration_service.models import AuditEvent
from shared.audited_route import RECORDS, remote_ip
from shared.correlation import correlation_id
from shared.events import AuditRecord, DicomStored, Event

SERVICE, UNKNOWN = "registration", "unknown"
# Given its rows as parameters, SQLAlchemy compiles it once; with them as values, for each number of rows anew.
_EVENTS = cast("Table", AuditEvent.__table__)
_NEW = insert(_EVENTS).on_conflict_do_nothing(index_elements=["record_id"]).returning(_EVENTS.c.id)
LATER_AT_MOST = 1000  # records of strangers that wait to be added


def append(
    session: AsyncSession,
    *,
    actor: str,
    action: str,
    outcome: str,
    exam_id: str | None = None,
    subject: str | None = None,
    reason: str | None = None,
) -> None:
    """Add one record: who (`actor`) did what (`action`) to which exam and image (`subject`), how it ended, and why."""
    session.add(
        AuditEvent(
            actor=actor,
            action=action,
            outcome=outcome,
            exam_id=exam_id,
            subject=subject,
            reason=reason,
            correlation_id=correlation_id.get(),
            remote_ip=remote_ip.get(),
        )
    )


class DatabaseAuditor:
    """Keeps the records of requests that change nothing themselves: reads, and what was refused."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._later: deque[AuditRecord] = deque(maxlen=LATER_AT_MOST)

    async def record(self, record: AuditRecord, *, must: bool = True) -> None:
        """Add it in a transaction of its own. Raises DatabaseAway.

        One that need not be kept takes no connection from anybody: it is added with others a moment later, and the
        oldest are lost where there are too many.
        """
        if not must:
            if len(self._later) == LATER_AT_MOST:
                RECORDS.labels("dropped").inc()
            self._later.append(record)
            return
        async with self._database.transaction() as session:
            await told(session, [record], SERVICE)
        RECORDS.labels("confirmed").inc()

    async def add_later(self) -> None:
        """Add what was left for later."""
        records = [self._later.popleft() for _ in range(len(self._later))]
        if records:
            async with self._database.transaction() as session:
                await told(session, records, SERVICE)
            RECORDS.labels("confirmed").inc(len(records))


def must_be_believed(publisher: str, audited: Collection[str]) -> None:
    """Raise Hopeless for records of a broker's user who may keep none."""
    if publisher not in audited:
        raise Hopeless("user_id: is none whose audit records are kept")


async def told(session: AsyncSession, records: Iterable[AuditRecord], service: str) -> int:
    """Add what a service tells; a record that is there already stays as it is. Returns how many were new."""
    connection = await session.connection()
    new = await connection.execute(_NEW, [_row(record, service) for record in records])
    return len(new.all())


async def stored(session: AsyncSession, event: Event[DicomStored], believed: DicomStored) -> None:
    """Add that an image was brought: by whom and from where is what its event says, however late that comes.

    The same upload may be told by its own event and, made good, by the reconciler's: it is one record.
    """
    data, origin = believed, believed.origin
    brought = (data.orthanc_instance_id, origin.actor or origin.kind, origin.aet, event.correlationid, data.digest)
    record = AuditRecord(
        record_id=hashlib.sha256(repr(brought).encode()).hexdigest(),
        time=event.time,
        actor=origin.actor or (f"aet:{origin.aet}" if origin.aet else None),
        action="image.tell" if origin.kind == "partner" else "image.upload",
        outcome="stored",
        examen_id=data.context.examen_id,
        subject=data.sop_instance_uid,
        reason=None if origin.kind == "upload" else origin.kind,
        correlation_id=event.correlationid,
        remote_ip=origin.remote_ip,
    )
    await told(session, [record], "upload" if origin.kind == "upload" else SERVICE)


def _row(record: AuditRecord, service: str) -> dict[str, Any]:
    return {
        "record_id": record.record_id,
        "recorded_at": record.time,
        "service": service,
        "actor": record.actor or UNKNOWN,
        "action": record.action,
        "outcome": record.outcome,
        "exam_id": record.examen_id,
        "subject": record.subject,
        "reason": record.reason,
        "correlation_id": record.correlation_id,
        "remote_ip": record.remote_ip,
    }
