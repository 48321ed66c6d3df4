"""What registration takes from RabbitMQ. A consumer translates and delegates; settling.py decides about the message."""

from collections.abc import Awaitable, Callable, Collection

from faststream import AckPolicy
from faststream.rabbit import RabbitBroker, RabbitQueue
from faststream.rabbit.message import RabbitMessage
from faststream.rabbit.subscriber import RabbitSubscriber

from services.registration_service import audit, exams
from services.registration_service.database import Database
from services.registration_service.group_commit import GroupCommit
from services.registration_service.intake import take_in
from services.registration_service.settling import Settling
from services.registration_service.vouching import Vouching
from shared.events import AuditRecorded, DicomStored, Event, ExamUpserted

STORED_QUEUE, EXAM_QUEUE = "registration.dicom-stored", "registration.exam-upserted"
AUDIT_QUEUE = "registration.audit-recorded"
WORK_QUEUES = (STORED_QUEUE, EXAM_QUEUE, AUDIT_QUEUE)
NOBODY = "unknown"  # a message without AMQP `user_id`: the broker let its publisher in, and does not say who it was


def subscribe(
    broker: RabbitBroker,
    database: Database,
    vouching: Vouching,
    settling: Settling,
    records: GroupCommit,
    audited: Collection[str],
) -> dict[str, RabbitSubscriber]:
    """Attach the consumers to the broker, by their queues; they start with it.

    `audited` are the broker's users whose audit records are kept.
    """

    async def register_stored(event: Event[DicomStored], publisher: str) -> None:
        stored, happened = await vouching.believe(event, publisher)
        async with database.transaction() as session:
            await take_in(session, stored, happened)
            await audit.stored(session, event, stored)

    async def upsert_exam(event: Event[ExamUpserted], publisher: str) -> None:
        async with database.transaction() as session:
            await exams.upsert(session, event.data, publisher or NOBODY)

    async def keep_records(event: Event[AuditRecorded], publisher: str) -> None:
        audit.must_be_believed(publisher, audited)
        await records.add(event.data.records, publisher, waited_for=False)

    async def take_stored(message: RabbitMessage) -> None:
        await settling.settle(message, STORED_QUEUE, Event[DicomStored], register_stored)

    async def take_exam(message: RabbitMessage) -> None:
        await settling.settle(message, EXAM_QUEUE, Event[ExamUpserted], upsert_exam)

    async def take_records(message: RabbitMessage) -> None:
        await settling.settle(message, AUDIT_QUEUE, Event[AuditRecorded], keep_records)

    return {
        STORED_QUEUE: _attach(broker, STORED_QUEUE, take_stored),
        EXAM_QUEUE: _attach(broker, EXAM_QUEUE, take_exam),
        AUDIT_QUEUE: _attach(broker, AUDIT_QUEUE, take_records),
    }


def _attach(broker: RabbitBroker, queue: str, consume: Callable[[RabbitMessage], Awaitable[None]]) -> RabbitSubscriber:
    subscriber = broker.subscriber(
        RabbitQueue(queue, declare=False), ack_policy=AckPolicy.MANUAL, decoder=as_it_is, no_reply=True
    )
    subscriber(consume)
    return subscriber


async def as_it_is(message: RabbitMessage) -> RabbitMessage:
    """A decoder: handlers are given the whole message. Its envelope is parsed in one place, by pydantic."""
    return message
