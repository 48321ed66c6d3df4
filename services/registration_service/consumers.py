"""What registration takes from RabbitMQ. A consumer translates and delegates; settling.py decides about the message."""

from faststream import AckPolicy
from faststream.rabbit import RabbitBroker, RabbitQueue
from faststream.rabbit.annotations import RabbitMessage

from services.registration_service.database import Database
from services.registration_service.intake import take_in
from services.registration_service.settling import Settling
from shared.events import DicomStored, Event

STORED_QUEUE = "registration.dicom-stored"


async def _as_bytes(message: RabbitMessage) -> bytes:
    """FastStream does not decode `application/cloudevents+json`: the envelope is parsed in one place, by pydantic."""
    return message.body


def subscribe(broker: RabbitBroker, database: Database, settling: Settling) -> None:
    """Attach the consumers to the broker; they start with it."""

    async def register_stored(event: Event[DicomStored]) -> None:
        async with database.transaction() as session:
            await take_in(session, event.data, event.time)

    @broker.subscriber(
        RabbitQueue(STORED_QUEUE, declare=False), ack_policy=AckPolicy.MANUAL, decoder=_as_bytes, no_reply=True
    )
    async def take_stored(message: RabbitMessage) -> None:
        await settling.settle(message, STORED_QUEUE, Event[DicomStored], register_stored)
