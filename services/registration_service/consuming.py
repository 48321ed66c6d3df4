"""Which queues are consumed from: all, but those that an operator has paused. The pause stands in the database.

Every replica looks there each second, so a pause holds for all of them and survives their restarts.
"""

import structlog
from faststream.rabbit import RabbitBroker
from faststream.rabbit.subscriber import RabbitSubscriber
from sqlalchemy import select

from services.registration_service.database import Database
from services.registration_service.models import PausedConsumer
from shared.broker import queue_consumed

log = structlog.get_logger()


class Consuming:
    """Pauses and resumes the consumers of this process."""

    def __init__(self, broker: RabbitBroker, database: Database, subscribers: dict[str, RabbitSubscriber]) -> None:
        self._broker = broker
        self._database = database
        self._subscribers = subscribers
        self._paused: set[str] = set()

    async def apply(self) -> None:
        """Make it so."""
        if not self._broker.running:
            return
        async with self._database.transaction() as session:
            wanted = set(await session.scalars(select(PausedConsumer.queue))) & self._subscribers.keys()
        for queue in wanted - self._paused:
            await _cancel(self._subscribers[queue])
            self._paused.add(queue)
            log.warning("consumer.paused", queue=queue)
        for queue in self._paused - wanted:
            await self._subscribers[queue].start()
            self._paused.discard(queue)
            log.warning("consumer.resumed", queue=queue)

    async def answers(self) -> None:
        """Readiness: every queue that is not paused exists and is consumed from; raises where not."""
        for queue in self._subscribers.keys() - self._paused:
            await queue_consumed(self._broker, queue)


async def _cancel(subscriber: RabbitSubscriber) -> None:
    """Take no more; what is in hand is finished.

    FastStream's own stop() would first stop listening, and leave what the broker sends meanwhile in nobody's hands.
    """
    queue, tag = subscriber._queue_obj, subscriber._consumer_tag  # noqa: SLF001  # FastStream offers no cancel
    if queue is not None and tag is not None:
        await queue.cancel(tag)
