"""What stands in the tables, read by name."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from services.registration_service.database import Database
from services.registration_service.models import AuditEvent, Exam, Image, LedgerEntry, OutboxMessage
from shared.events import DicomStored


async def records(database: Database, data: DicomStored) -> Sequence[Image]:
    """All records of an image's SOP Instance UID."""
    async with database.transaction() as session:
        query = select(Image).where(Image.sop_instance_uid == data.sop_instance_uid)
        return (await session.scalars(query)).all()


async def record(database: Database, data: DicomStored) -> Image:
    """The only record of it."""
    found = await records(database, data)
    assert len(found) == 1, f"{len(found)} records of {data.sop_instance_uid}"
    return found[0]


async def entry(database: Database, data: DicomStored) -> LedgerEntry:
    async with database.transaction() as session:
        return await session.get_one(LedgerEntry, data.orthanc_instance_id)


async def exam(database: Database, exam_id: str) -> Exam:
    async with database.transaction() as session:
        return await session.get_one(Exam, exam_id)


async def said(database: Database, subject: str) -> list[tuple[str, dict[str, Any]]]:
    """Type and data of each event in the outbox about an Orthanc id, a SOP Instance UID or an exam, in order."""
    async with database.transaction() as session:
        messages = (await session.scalars(select(OutboxMessage).order_by(OutboxMessage.id))).all()
    events = [(message.routing_key, json.loads(message.body)) for message in messages]
    return [(key, event["data"]) for key, event in events if event["subject"] == subject]


async def audited(database: Database, **about: Any) -> list[tuple[str, str, str]]:
    """Actor, action and outcome of each audit record about a subject or an exam, in order."""
    async with database.transaction() as session:
        found = await session.scalars(select(AuditEvent).filter_by(**about).order_by(AuditEvent.id))
        return [(row.actor, row.action, row.outcome) for row in found]


async def reasons(database: Database, subject: str) -> list[str | None]:
    """Why each audited act about a subject was done, in order."""
    async with database.transaction() as session:
        found = await session.scalars(select(AuditEvent).filter_by(subject=subject).order_by(AuditEvent.id))
        return [row.reason for row in found]
