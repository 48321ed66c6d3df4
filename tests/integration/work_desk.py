"""A work queue of a test's own with its rungs, and a consumer that settles what lies there; its pauses are short."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from faststream import AckPolicy
from faststream.rabbit import RabbitBroker, RabbitQueue
from faststream.rabbit.message import RabbitMessage

from deploy.local.system import System
from services.registration_service import settling
from services.registration_service.consumers import as_it_is
from services.registration_service.copies import Copies
from services.registration_service.database import Database
from services.registration_service.dead import DeadRows
from services.registration_service.settings import MessageSettings
from services.registration_service.settling import Settling
from shared.broker import make_broker
from shared.events import DicomStored, Event
from tests.integration import accounts
from tests.integration.queues import own_queue, send

RETRIES = [0.05, 0.1]
Work = Callable[[Event[DicomStored]], Awaitable[None]]


@dataclass
class Desk:
    """Queues of a test's own, and consumers for them."""

    system: System
    admin: AbstractChannel
    work: AbstractQueue
    rungs: list[AbstractQueue]
    dead: AbstractQueue
    calls: list[Event[DicomStored]] = field(default_factory=list)
    messages: MessageSettings = field(
        default_factory=lambda: MessageSettings(retry_seconds=RETRIES, hold_pause_seconds=0.05)
    )

    @contextlib.asynccontextmanager
    async def consumer(self, work: Work) -> AsyncIterator[RabbitBroker]:
        """A service that does this with each message."""
        settings = accounts.broker(self.system, "admin")
        database = Database(accounts.database(self.system, "examflow"))
        broker = make_broker(settings, "test")
        broker.config.broker_config.graceful_timeout = 0.2
        decisions = Settling(Copies(broker, settings), DeadRows(database, ["admin"]), self.messages)

        async def counted(event: Event[DicomStored], _: str) -> None:
            self.calls.append(event)
            await work(event)

        @broker.subscriber(
            RabbitQueue(self.work.name, declare=False), ack_policy=AckPolicy.MANUAL, decoder=as_it_is, no_reply=True
        )
        async def consume(message: RabbitMessage) -> None:
            await decisions.settle(message, self.work.name, Event[DicomStored], counted)

        await broker.start()
        try:
            yield broker
        finally:
            await broker.stop()
            await database.aclose()

    async def send(self, event: Event[DicomStored], **properties: Any) -> str:
        body = event.model_dump_json(by_alias=True).encode()
        return await send(self.admin, body, self.work.name, **properties)

    async def is_settled(self) -> None:
        """All was acknowledged: nothing comes back to the queue, nor lies in a rung."""
        for queue in (self.work, *self.rungs):
            assert await queue.get(fail=False) is None


@contextlib.asynccontextmanager
async def set_up(system: System, admin: AbstractChannel, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Its queues, gone afterwards."""
    async with contextlib.AsyncExitStack() as queues:
        work, dead = [await queues.enter_async_context(own_queue(admin)) for _ in range(2)]
        monkeypatch.setattr(settling, "DEAD_QUEUE", dead.name)
        back: dict[str, Any] = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": work.name}
        rungs = []
        for attempt in range(1, len(RETRIES) + 1):
            rungs.append(await admin.declare_queue(settling.rung(work.name, attempt), arguments=back))
            queues.push_async_callback(rungs[-1].delete, if_unused=False, if_empty=False)
        yield Desk(system, admin, work, rungs, dead)


async def broken(event: Event[DicomStored]) -> None:
    """What no attempt can do."""
    raise KeyError("P. Atient")
