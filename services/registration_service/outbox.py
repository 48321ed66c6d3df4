"""What registration says after a commit: events written with the change they tell, then published in order.

Changes of rights overtake the others: they must not wait behind what a whole backlog of images has to say.
"""

import asyncio
from collections.abc import Sequence

from sqlalchemy import delete, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service.database import Database
from services.registration_service.models import OutboxMessage
from shared.broker import Publisher
from shared.correlation import correlation_id
from shared.events import Event, EventData, ExamRightsChanged

SOURCE = "/examflow/registration"
# In the statement itself, not beside it: or the index of these few would not be used.
_IS_URGENT = OutboxMessage.routing_key == literal(ExamRightsChanged.event_type, literal_execute=True)
_SENDER_LOCK = 0x6F757462  # one sender at a time, so that events about one image keep their order


def say(session: AsyncSession, data: EventData, subject: str) -> None:
    """Write an event into the outbox of this transaction."""
    event = Event.about(data, source=SOURCE, subject=subject, correlation_id=correlation_id.get())
    session.add(
        OutboxMessage(
            event_id=event.id,
            routing_key=event.type,
            correlation_id=event.correlationid,
            body=event.model_dump_json(by_alias=True),
        )
    )


class Outbox:
    """Sends what stands in the outbox, oldest first: confirmed, then deleted. A crash sends twice, never not at all."""

    def __init__(self, database: Database, publisher: Publisher, batch: int) -> None:
        self._database = database
        self._publisher = publisher
        self._batch = batch

    async def send_all(self) -> None:
        """Send until the outbox is empty, or another process is sending."""
        while await self._send_some() == self._batch:
            await asyncio.sleep(0)

    async def _send_some(self) -> int:
        async with self._database.transaction() as session:
            mine = await session.scalar(select(func.pg_try_advisory_xact_lock(_SENDER_LOCK)))
            if not mine:
                return 0
            messages = await self._next(session)
            for message in messages:
                # Partners may or may not have bound a queue to it: an announcement nobody waits for is no error.
                await self._publisher.publish_raw(
                    message.body.encode(),
                    message.routing_key,
                    message_id=message.event_id,
                    correlation_id=message.correlation_id,
                    mandatory=False,
                )
            await session.execute(delete(OutboxMessage).where(OutboxMessage.id.in_([m.id for m in messages])))
            return len(messages)

    async def _next(self, session: AsyncSession) -> Sequence[OutboxMessage]:
        """The next batch: changes of rights, then the others, the oldest of each first."""
        oldest = select(OutboxMessage).order_by(OutboxMessage.id)
        urgent = (await session.scalars(oldest.where(_IS_URGENT).limit(self._batch))).all()
        others = await session.scalars(oldest.where(~_IS_URGENT).limit(self._batch - len(urgent)))
        return [*urgent, *others]
