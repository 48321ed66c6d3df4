"""How full registration's queues are, and who consumes from them."""

import asyncio
from collections.abc import Sequence

from aio_pika.exceptions import ChannelNotFoundEntity
from faststream.rabbit import RabbitBroker

from services.registration_service.consumers import WORK_QUEUES
from services.registration_service.ops.schemas import Queue
from services.registration_service.settings import MessageSettings
from services.registration_service.settling import DEAD_QUEUE, rung
from shared.broker import queue_counts


def every_queue(settings: MessageSettings) -> list[str]:
    """The queues that are worked on, each before its retry rungs, and the dead letters."""
    rungs = range(1, len(settings.retry_seconds) + 1)
    return [*(name for queue in WORK_QUEUES for name in (queue, *(rung(queue, n) for n in rungs))), DEAD_QUEUE]


async def counted(broker: RabbitBroker, queues: Sequence[str]) -> list[Queue]:
    """Their counts, in order; raises where the broker is away."""
    return list(await asyncio.gather(*(_count(broker, queue) for queue in queues)))


async def _count(broker: RabbitBroker, queue: str) -> Queue:
    try:
        found = await queue_counts(broker, queue)
    except ChannelNotFoundEntity:
        return Queue(queue=queue, messages=None, consumers=None)
    return Queue(queue=queue, messages=found.messages, consumers=found.consumers)
