"""Reconciling at once, and pauses as they stand in the database."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from services.registration_service import cursor
from services.registration_service.database import Database
from services.registration_service.feed import Place
from services.registration_service.models import AuditEvent, LedgerEntry
from services.registration_service.ops import pauses
from services.registration_service.ops.errors import QueueUnknown
from services.registration_service.ops.reconcile import reconcile
from services.registration_service.ops.schemas import Queue, ReconcileStarted
from tests.integration import given, rows

STORED, EXAMS = "registration.dicom-stored", "registration.exam-upserted"


async def _reconcile(database: Database, *, full: bool) -> ReconcileStarted:
    async with database.transaction() as session:
        return await reconcile(session, "olivia", "a test", full=full)


async def _last_act(database: Database) -> AuditEvent:
    async with database.transaction() as session:
        found = await session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc()).limit(1))
        return found.one()


async def test_what_is_undecided_is_told_anew_at_once(database: Database) -> None:
    undecided, waiting = given.image(), given.image()
    later = datetime.now(UTC) + timedelta(hours=1)
    for data in (undecided, waiting):
        await given.take(database, data)
        async with database.transaction() as session:
            mine = LedgerEntry.orthanc_id == data.orthanc_instance_id
            await session.execute(update(LedgerEntry).where(mine).values(publish_after=later))
    async with database.transaction() as session:
        mine = LedgerEntry.orthanc_id == undecided.orthanc_instance_id
        await session.execute(update(LedgerEntry).where(mine).values(state="seen", code=None, reason=None))
    begun = await _reconcile(database, full=False)
    assert begun.undecided >= 1
    assert not begun.full
    due = (await rows.entry(database, undecided)).publish_after
    assert due is not None
    assert due <= datetime.now(UTC)
    assert (await rows.entry(database, waiting)).publish_after == later
    act = await _last_act(database)
    assert (act.actor, act.action, act.outcome, act.reason) == ("olivia", "reconcile", "undecided", "a test")


async def test_a_full_compare_is_owed_from_then_on(database: Database) -> None:
    await _reconcile(database, full=True)  # before the first start, when it is owed anyway
    async with database.transaction() as session:
        await cursor.begin(session, Place(7, None))
        standing = await cursor.standing(session, hold=True)
        assert standing is not None
        standing.compare_wanted = None
    await _reconcile(database, full=False)
    async with database.transaction() as session:
        standing = await cursor.standing(session)
        assert standing is not None
        assert standing.compare_wanted is None
    begun = await _reconcile(database, full=True)
    async with database.transaction() as session:
        standing = await cursor.standing(session)
        assert standing is not None
        assert standing.compare_wanted == begun.started
    assert (await _last_act(database)).outcome == "full"


async def test_a_pause_stands_with_who_and_why_until_it_is_taken_away(database: Database) -> None:
    async with database.transaction() as session:
        await pauses.pause(session, STORED, "olivia", "a bug")
    async with database.transaction() as session:
        await pauses.pause(session, STORED, "oscar", "the same bug")
        standing = await pauses.paused(session)
    counts = [Queue(queue=STORED, messages=7, consumers=0)]
    stored, exams, _ = pauses.described(standing, counts)
    assert (stored.queue, stored.paused, stored.pausedBy, stored.reason) == (STORED, True, "olivia", "a bug")
    assert (stored.messages, stored.consumers) == (7, 0)
    assert (exams.queue, exams.paused, exams.messages) == (EXAMS, False, None)
    for _ in range(2):
        async with database.transaction() as session:
            await pauses.resume(session, STORED, "oscar")
    async with database.transaction() as session:
        assert await pauses.paused(session) == {}
    assert await rows.audited(database, subject=STORED) == [
        ("olivia", "consumer.pause", "paused"),
        ("oscar", "consumer.pause", "already-paused"),
        ("oscar", "consumer.resume", "resumed"),
        ("oscar", "consumer.resume", "not-paused"),
    ]
    assert (await rows.reasons(database, STORED))[0] == "a bug"


async def test_a_queue_that_is_not_worked_on_cannot_be_paused(database: Database) -> None:
    async with database.transaction() as session:
        for act in (
            pauses.pause(session, "registration.dead", "olivia", "x"),
            pauses.resume(session, "dicom-stored", "olivia"),
        ):
            with pytest.raises(QueueUnknown, match=f"there are: {STORED}, {EXAMS}"):
                await act
