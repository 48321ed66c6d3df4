"""Puts the audit trail's records into its hash chain, in the order in which they are found, each exactly once.

Sealing trails the records by a moment, so that what is done at the same time does not wait for one chain.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client import Gauge
from sqlalchemy import ARRAY, BigInteger, bindparam, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service.bulk_insert import bulk_insert, in_lists
from services.registration_service.database import Database
from services.registration_service.models import AuditEvent, AuditLink, AuditPruning, AuditUnsealed
from shared.audit_chain import GENESIS, Place, chained

UNSEALED = Gauge("examflow_audit_unsealed", "Audit records that are not in the hash chain yet")
_LINKS = bulk_insert(AuditLink, "seq", "event_id", "sealed_at", "hash")
_SEALED = delete(AuditUnsealed).where(AuditUnsealed.event_id == func.any(bindparam("ids", type_=ARRAY(BigInteger))))
_SEALER_LOCK = 0x61756469  # one sealer at a time, in all replicas


class Sealing:
    """Seals what is not sealed. Of several replicas one does."""

    def __init__(self, database: Database, batch: int) -> None:
        self._database = database
        self._batch = batch

    async def seal_all(self) -> None:
        """Seal until nothing is left, or another replica is at it."""
        while await self._seal_some() == self._batch:
            await asyncio.sleep(0)

    async def _seal_some(self) -> int:
        async with self._database.transaction() as session:
            if not await session.scalar(select(func.pg_try_advisory_xact_lock(_SEALER_LOCK))):
                return 0
            oldest = select(AuditUnsealed.event_id).order_by(AuditUnsealed.event_id).limit(self._batch)
            query = select(AuditEvent).where(AuditEvent.id.in_(oldest)).order_by(AuditEvent.id)
            records = (await session.scalars(query)).all()
            if records:
                now = (await session.execute(select(func.clock_timestamp()))).scalar_one()
                await seal(session, records, now)
            left = await session.scalar(select(func.count()).select_from(AuditUnsealed))
            UNSEALED.set(left or 0)
        return len(records)


async def seal(session: AsyncSession, records: Sequence[AuditEvent], now: datetime) -> None:
    """Give each record the next place. The caller holds the sealer's lock."""
    place = await head(session)
    links: list[dict[str, Any]] = []
    for record in records:
        seq = place.seq + 1
        place = Place(seq, chained(place.hash, seq, content(record, now)))
        links.append({"seq": seq, "event_id": record.id, "sealed_at": now, "hash": place.hash})
    connection = await session.connection()
    await connection.execute(_LINKS, in_lists(links))
    await connection.execute(_SEALED, {"ids": [record.id for record in records]})


async def head(session: AsyncSession) -> Place:
    """The last place of the chain."""
    last = await session.scalar(select(AuditLink).order_by(AuditLink.seq.desc()).limit(1))
    if last is not None:
        return Place(last.seq, last.hash)
    pruned = await session.scalar(select(AuditPruning).order_by(AuditPruning.to_seq.desc()).limit(1))
    return Place(pruned.to_seq, pruned.hash) if pruned else Place(0, GENESIS)


def content(record: AuditEvent, sealed_at: datetime) -> dict[str, str | None]:
    """All that a link's hash covers, as it is shown: times in UTC with microseconds."""
    return {
        "recordId": record.record_id,
        "recordedAt": _exact(record.recorded_at),
        "sealedAt": _exact(sealed_at),
        "service": record.service,
        "actor": record.actor,
        "action": record.action,
        "outcome": record.outcome,
        "examenID": record.exam_id,
        "subject": record.subject,
        "reason": record.reason,
        "correlationId": record.correlation_id,
        "remoteIP": record.remote_ip,
    }


def _exact(moment: datetime) -> str:
    """As PostgreSQL holds it: nothing of it is rounded."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
