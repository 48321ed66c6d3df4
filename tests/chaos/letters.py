"""Dead letters as registration would have written them, without the ten minutes that its attempts take."""

from datetime import UTC, datetime

import aio_pika
from aio_pika.abc import AbstractChannel

from services.registration_service.consumers import STORED_QUEUE
from services.registration_service.copies import fingerprint
from services.registration_service.settling import DEAD_QUEUE
from tests.chaos.lab import Lab

REASON = "the database refused it: DiskFullError"


def bury_what_waits(lab: Lab) -> int:
    """Make all messages of the work queue dead letters, and say so in their images' rows, as dead.py does.

    Neither registration nor the reconciler may be at work meanwhile.
    """
    buried = lab.background.run(_bury(lab), seconds=120)
    lab.tables.ask("UPDATE intake_ledger SET state = 'dead', code = 'dead-letter', reason = :why", why=REASON)
    return buried


async def _bury(lab: Lab) -> int:
    buried = 0
    connection = await aio_pika.connect(lab.setup.direct.broker_url("registration"))
    async with connection:
        channel = await connection.channel(on_return_raises=True)
        queue = await channel.get_queue(STORED_QUEUE, ensure=False)
        while message := await queue.get(fail=False):
            await _copy(channel, message)
            await message.ack()
            buried += 1
    return buried


async def _copy(channel: AbstractChannel, message: aio_pika.abc.AbstractIncomingMessage) -> None:
    now = datetime.now(UTC).isoformat()
    copy = aio_pika.Message(
        message.body,
        headers={
            "x-attempt": 4,
            "x-reason": REASON,
            "x-fingerprint": fingerprint(STORED_QUEUE, REASON),
            "x-first": now,
            "x-last": now,
            "x-queue": STORED_QUEUE,
            "x-publisher": message.user_id,
            "x-routing-key": message.routing_key,
        },
        content_type=message.content_type,
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        type=message.type,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        user_id="registration",
    )
    await channel.default_exchange.publish(copy, DEAD_QUEUE)


async def rubbish(lab: Lab, number: int) -> None:
    """Messages that are no events, each a dead letter at once."""
    connection = await aio_pika.connect(lab.setup.direct.broker_url("admin"))
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("medical-images", ensure=False)
        for place in range(number):
            message = aio_pika.Message(b"{", message_id=f"rubbish-{place}", user_id="admin")
            await exchange.publish(message, "dicom.stored")
