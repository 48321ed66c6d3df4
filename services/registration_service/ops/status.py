"""How the whole road is doing: what each server tells, each asked within a time limit, and what follows from it."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import cursor, unaccounted
from services.registration_service.ledger import State
from services.registration_service.models import LedgerEntry, OutboxMessage, ReconcilerCursor
from services.registration_service.ops import pauses, queues, waiting
from services.registration_service.ops.desk import Desk
from services.registration_service.ops.schemas import LedgerCounts, Queue, ReconcilerState, Status
from services.registration_service.ops.verdict import verdict_of
from services.registration_service.settings import Settings

log = structlog.get_logger()

T = TypeVar("T")
_UNREGISTERED = (State.WAITING, State.REFUSED, State.DEAD)


async def read_status(desk: Desk) -> Status:
    """Ask all servers at once. What one of them would tell is null while it does not answer."""
    seconds = desk.settings.status.answer_seconds
    (ledger, postgresql), (depths, rabbitmq), (_, orthanc), (unread, _) = await asyncio.gather(
        _ask("postgresql", _ledger(desk), seconds),
        _ask("rabbitmq", queues.counted(desk.broker, queues.every_queue(desk.settings.messages)), seconds),
        _ask("orthanc", desk.orthanc.answers(), seconds),
        _ask("unread", _unread(desk), seconds),
    )
    if ledger is not None and depths is not None:
        _count_paused(ledger, depths)
    missing = None if ledger is None or unread is None else ledger.undecidedLate + unread
    answers = {"PostgreSQL": postgresql, "RabbitMQ": rabbitmq, "Orthanc": orthanc}
    said = verdict_of(answers, ledger, depths, missing, desk.settings)
    return Status(
        time=datetime.now(UTC),
        verdict=said.verdict,
        says=said.says,
        findings=said.findings,
        answers=answers,
        unaccounted=missing,
        ledger=ledger,
        queues=depths,
    )


async def count_queues(desk: Desk, names: Sequence[str]) -> list[Queue] | None:
    """Their counts, or None while the broker does not answer."""
    counts, _ = await _ask("rabbitmq", queues.counted(desk.broker, names), desk.settings.status.answer_seconds)
    return counts


async def _ask(what: str, question: Awaitable[T], seconds: float) -> tuple[T | None, str]:
    """The answer, and `ok`; or None, and why there is none. Whatever it is, the others are told."""
    try:
        async with asyncio.timeout(seconds):
            return await question, "ok"
    except TimeoutError:
        return None, f"no answer within {seconds:g} s"
    except Exception as error:  # noqa: BLE001  # a status must name any failure, and never fail itself
        log.warning("status.unanswered", what=what, kind=type(error).__name__, why=str(error)[:300])
        return None, "does not answer"


async def _unread(desk: Desk) -> int:
    async with desk.database.transaction() as session:
        standing = await cursor.standing(session)
    return await unaccounted.unread(desk.database, desk.orthanc, desk.settings.reconciler, standing)


async def _ledger(desk: Desk) -> LedgerCounts:
    settings, row = desk.settings, LedgerEntry
    async with desk.database.transaction() as session:
        counted = await session.execute(select(row.state, func.count()).group_by(row.state))
        states = dict.fromkeys(State, 0) | {State(state): count for state, count in counted}
        causes, more = await waiting.causes(session, _UNREGISTERED, settings.status.causes)
        oldest = await session.scalar(select(func.min(row.first_seen)).where(row.state == State.SEEN))
        outbox, written = (await session.execute(select(func.count(), func.min(OutboxMessage.written_at)))).one()
        standing = await cursor.standing(session)
        return LedgerCounts(
            states={str(state): count for state, count in states.items()},
            causes=causes,
            moreCauses=more,
            waitingLong=await _waiting_long(session, settings),
            refusedLately=await _refused_lately(session, settings),
            undecidedLate=await unaccounted.undecided(session, settings.reconciler),
            oldestUndecided=oldest,
            outbox=outbox,
            oldestAnnouncement=written,
            paused=[one for one in pauses.described(await pauses.paused(session), None) if one.paused],
            reconciler=_reconciler(standing),
        )


async def _waiting_long(session: AsyncSession, settings: Settings) -> int:
    return await _count(session, State.WAITING, _since() < _ago(settings.status.waiting_seconds))


async def _refused_lately(session: AsyncSession, settings: Settings) -> int:
    return await _count(session, State.REFUSED, _since() > _ago(settings.status.refused_seconds))


async def _count(session: AsyncSession, state: State, since: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(LedgerEntry).where(LedgerEntry.state == state, since)
    return await session.scalar(query) or 0


def _since() -> ColumnElement[datetime]:
    """When an image came into the state it is in."""
    return func.coalesce(LedgerEntry.decided_at, LedgerEntry.first_seen)


def _ago(seconds: float) -> ColumnElement[datetime]:
    return func.now() - timedelta(seconds=seconds)


def _reconciler(standing: ReconcilerCursor | None) -> ReconcilerState:
    return ReconcilerState(
        cursor=standing.seq if standing else None,
        lastFullCompare=standing.last_full_compare if standing else None,
        compareWanted=standing.compare_wanted if standing else None,
        alarm=bool(standing and standing.alarm),
    )


def _count_paused(ledger: LedgerCounts, depths: list[Queue]) -> None:
    known = {queue.queue: queue for queue in depths}
    for consumer in ledger.paused:
        queue = known[consumer.queue]
        consumer.messages, consumer.consumers = queue.messages, queue.consumers
