"""Pausing and resuming consumers. What is said here holds within a second, in every replica (consuming.py)."""

from collections.abc import Sequence

import structlog
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import audit
from services.registration_service.consumers import WORK_QUEUES
from services.registration_service.models import PausedConsumer
from services.registration_service.ops.errors import QueueUnknown
from services.registration_service.ops.schemas import Consumer, Queue

log = structlog.get_logger()


async def paused(session: AsyncSession) -> dict[str, PausedConsumer]:
    """The pauses that stand, by queue."""
    return {row.queue: row for row in await session.scalars(select(PausedConsumer))}


async def pause(session: AsyncSession, queue: str, operator: str, reason: str) -> None:
    """Pause a queue; a pause that stands already stays as it is. Raises QueueUnknown."""
    _must_be_known(queue)
    new = insert(PausedConsumer).values(queue=queue, actor=operator, reason=reason)
    made = await session.scalar(new.on_conflict_do_nothing().returning(PausedConsumer.queue))
    outcome = "paused" if made else "already-paused"
    audit.append(session, actor=operator, action="consumer.pause", outcome=outcome, subject=queue, reason=reason)
    log.warning("consumer.pause", queue=queue, outcome=outcome, operator=operator)


async def resume(session: AsyncSession, queue: str, operator: str) -> None:
    """Take the pause away; none standing there is as good. Raises QueueUnknown."""
    _must_be_known(queue)
    gone = delete(PausedConsumer).where(PausedConsumer.queue == queue).returning(PausedConsumer.queue)
    outcome = "resumed" if await session.scalar(gone) else "not-paused"
    audit.append(session, actor=operator, action="consumer.resume", outcome=outcome, subject=queue)
    log.warning("consumer.resume", queue=queue, outcome=outcome, operator=operator)


def described(pauses: dict[str, PausedConsumer], counts: Sequence[Queue] | None) -> list[Consumer]:
    """Each queue that can be paused; `counts` is None while the broker is away."""
    known = {queue.queue: queue for queue in counts or ()}
    return [_consumer(queue, pauses.get(queue), known.get(queue)) for queue in WORK_QUEUES]


def _consumer(queue: str, stands: PausedConsumer | None, counts: Queue | None) -> Consumer:
    return Consumer(
        queue=queue,
        messages=counts.messages if counts else None,
        consumers=counts.consumers if counts else None,
        paused=stands is not None,
        pausedBy=stands.actor if stands else None,
        reason=stands.reason if stands else None,
        since=stands.since if stands else None,
    )


def _must_be_known(queue: str) -> None:
    if queue not in WORK_QUEUES:
        raise QueueUnknown(queues=", ".join(WORK_QUEUES))
