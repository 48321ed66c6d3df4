"""The audit trail's way in: a record is added in the transaction of what it tells, and never changed."""

import hashlib
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service.bulk_insert import bulk_insert, in_lists
from services.registration_service.errors import Hopeless
from services.registration_service.models import AuditEvent
from shared.audited_route import remote_ip
from shared.correlation import correlation_id
from shared.events import AuditRecord, DicomStored, Event

SERVICE, UNKNOWN = "registration", "unknown"
_COLUMNS = (
    *("record_id", "recorded_at", "service", "actor", "action", "outcome"),
    *("exam_id", "subject", "reason", "correlation_id", "remote_ip"),
)
_NEW = bulk_insert(AuditEvent, *_COLUMNS).on_conflict_do_nothing(index_elements=["record_id"])


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


def must_be_believed(publisher: str, audited: Collection[str]) -> None:
    """Raise Hopeless for records of a broker's user who may keep none."""
    if publisher not in audited:
        raise Hopeless("user_id: is none whose audit records are kept")


async def told(session: AsyncSession, records: Iterable[AuditRecord], service: str) -> int:
    """Add what a service tells; a record that is there already stays as it is. Returns how many were new."""
    connection = await session.connection()
    new = await connection.execute(_NEW, in_lists([_row(record, service) for record in records]))
    return int(new.rowcount)


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
