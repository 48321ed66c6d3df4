"""Which queues are consumed from: all, but those that an operator has paused. The pause stands in the database.

Every replica looks there each second, so a pause holds for all of them and survives their restarts: nothing is taken
before the pauses were read for the first time.
"""

from collections.abc import Callable, Mapping

import structlog
from faststream.rabbit import RabbitBroker
from faststream.rabbit.subscriber import RabbitSubscriber
from sqlalchemy import select

from services.registration_service.database import Database
from services.registration_service.models import PausedConsumer
from shared.broker import queue_consumed

log = structlog.get_logger()

Subscribe = Callable[[], Mapping[str, RabbitSubscriber]]


class Consuming:
    """Starts, pauses and resumes the consumers of this process."""

    def __init__(self, broker: RabbitBroker, database: Database, subscribe: Subscribe) -> None:
        self._broker = broker
        self._database = database
        self._subscribe = subscribe
        # Attached once the broker runs: its start would start them all, the paused ones too.
        self._subscribers: Mapping[str, RabbitSubscriber] = {}
        self._taking: set[str] = set()

    async def apply(self) -> None:
        """Make it so."""
        if not self._broker.running:
            return
        async with self._database.transaction() as session:
            paused = set(await session.scalars(select(PausedConsumer.queue)))
        self._subscribers = self._subscribers or self._subscribe()
        for queue, subscriber in self._subscribers.items():
            if queue in paused and queue in self._taking:
                await _cancel(subscriber)
                self._taking.discard(queue)
                log.warning("consumer.paused", queue=queue)
            elif queue not in paused and queue not in self._taking:
                await subscriber.start()
                self._taking.add(queue)
                log.info("consumer.started", queue=queue)

    async def answers(self) -> None:
        """Readiness: the pauses are known, and every queue that is not paused is consumed from; raises where not."""
        if not self._subscribers:
            raise ConnectionError("consuming has not begun")
        for queue in self._taking:
            await queue_consumed(self._broker, queue)


async def _cancel(subscriber: RabbitSubscriber) -> None:
    """Take no more; what is in hand is finished.

    FastStream's own stop() would first stop listening, and leave what the broker sends meanwhile in nobody's hands.
    """
    queue, tag = subscriber._queue_obj, subscriber._consumer_tag  # noqa: SLF001  # FastStream offers no cancel
    if queue is not None and tag is not None:
        await queue.cancel(tag)
        subscriber._consumer_tag = None  # noqa: SLF001  # its own stop() would cancel it again
