"""The audit trail is written with what it tells, and the services can only add to it."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from services.registration_service import audit
from services.registration_service.by_http import HttpRegistrations
from services.registration_service.database import Database
from services.registration_service.intake import take_in
from shared.correlation import correlation_id
from tests.integration import given, rows


async def test_each_registration_leaves_its_record(database: Database, registrations: HttpRegistrations) -> None:
    exam = given.name()
    await given.open_exam(database, exam, "user:alice")
    data = given.image(exam=exam)
    await given.take(database, data)
    await registrations.register(given.ALICE, given.asked(data, exam))
    assert await rows.audited(database, exam_id=exam) == [
        ("his", "exam.upsert", "created"),
        ("alice", "image.register", "created"),
        ("alice", "image.register", "filled-in"),
    ]
    assert len(await rows.audited(database, subject=data.sop_instance_uid)) == 2


async def test_a_record_carries_the_correlation_id(database: Database) -> None:
    exam = given.name()
    token = correlation_id.set("corr-audit-1")
    try:
        await given.open_exam(database, exam)
    finally:
        correlation_id.reset(token)
    assert await rows.audited(database, exam_id=exam, correlation_id="corr-audit-1")


async def test_what_is_rolled_back_leaves_no_record_and_no_event(database: Database) -> None:
    exam = given.name()
    await given.open_exam(database, exam, "user:alice")
    data = given.image(exam=exam)

    async def crash() -> None:
        async with database.transaction() as session:
            await take_in(session, data, given.HAPPENED)
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await crash()
    assert await rows.audited(database, subject=data.sop_instance_uid) == []
    assert await rows.said(database, data.orthanc_instance_id) == []
    assert await rows.records(database, data) == []


@pytest.mark.parametrize(
    "command", ["UPDATE audit_events SET actor = 'nobody'", "DELETE FROM audit_events", "TRUNCATE audit_events"]
)
async def test_the_services_can_neither_change_nor_remove_a_record(database: Database, command: str) -> None:
    async with database.transaction() as session:
        audit.append(session, actor="alice", action="test", outcome="kept", subject=command)
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with database.transaction() as session:
            await session.execute(text(command))
    assert await rows.audited(database, subject=command) == [("alice", "test", "kept")]


@pytest.mark.parametrize("command", ["DROP TABLE audit_events", "CREATE TABLE mine (id int)"])
async def test_the_services_own_no_table(database: Database, command: str) -> None:
    with pytest.raises(ProgrammingError, match=r"must be owner|permission denied"):
        async with database.transaction() as session:
            await session.execute(text(command))
