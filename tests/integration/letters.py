"""Dead letters in a queue of a test's own, and what operators do with them, against a database of the tests."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from faststream.rabbit import RabbitBroker

from deploy.local.system import System
from services.registration_service.copies import Copies, fingerprint
from services.registration_service.database import Database
from services.registration_service.dead import DeadRows
from services.registration_service.ops import letter, trial
from services.registration_service.ops.choice import Choice
from services.registration_service.ops.dead_letters import DeadLetters
from services.registration_service.ops.letter import Letter
from services.registration_service.ops.listing import Listing, list_letters
from services.registration_service.ops.replay import Replay
from services.registration_service.ops.trial import Trial
from services.registration_service.settings import DeadLetterSettings, MessageSettings
from services.registration_service.vouching import Vouching
from shared.broker import make_broker
from shared.events import CONTENT_TYPE, DicomStored, Event
from shared.orthanc import Orthanc
from tests.integration import accounts, given
from tests.integration.queues import own_queue, send

WHEN = datetime(2026, 11, 22, 9, 12, tzinfo=UTC)
ALL = Choice(2000)


def choice(*letters: Letter, limit: int = 2000) -> Choice:
    return Choice(limit, frozenset(one.id for one in letters))


@dataclass(frozen=True)
class Desk:
    """The service's account is `admin` here: its headers are believed, and it may write to the queues of a test."""

    system: System
    admin: AbstractChannel
    database: Database
    broker: RabbitBroker
    copies: Copies
    dead: AbstractQueue
    work: AbstractQueue
    vouching: Vouching
    settings: DeadLetterSettings

    def with_settings(self, **changes: Any) -> "Desk":
        return replace(self, settings=self.settings.model_copy(update=changes))

    @property
    def letters(self) -> DeadLetters:
        """Another reader each time."""
        broker = accounts.broker(self.system, "admin", confirm_seconds=2)
        return DeadLetters(broker, self.copies, self.database, self.settings, self.dead.name)

    @property
    def trial(self) -> Trial:
        return Trial(self.database, self.vouching, MessageSettings(), self.settings)

    @property
    def replay(self) -> Replay:
        rows = DeadRows(self.database, ["upload"])
        return Replay(self.letters, self.copies, self.database, rows, self.trial, self.settings)

    async def bury(
        self, event: Event[DicomStored] | bytes | None = None, reason: str = "KeyError", **properties: Any
    ) -> str:
        """A dead letter as settling.py makes it; returns its message_id."""
        event = event or given.event(given.image())
        body = event if isinstance(event, bytes) else event.model_dump_json(by_alias=True).encode()
        headers = {
            "x-attempt": 4,
            "x-reason": reason,
            "x-fingerprint": fingerprint(self.work.name, reason),
            "x-first": WHEN.isoformat(),
            "x-last": datetime.now(UTC).isoformat(),
            "x-queue": self.work.name,
            "x-publisher": "upload",
        } | properties.pop("headers", {})
        usual = {"user_id": "admin", "content_type": CONTENT_TYPE, "delivery_mode": 2, "headers": headers}
        return await send(self.admin, body, self.dead.name, **(usual | properties))

    async def list(self, cause: str | None = None, limit: int = 100_000) -> Listing:
        return await list_letters(self.letters, cause, limit)

    async def only(self) -> Letter:
        """The only letter."""
        [one] = (await self.list()).items
        return one

    async def count(self, queue: AbstractQueue) -> int:
        declared = await self.admin.declare_queue(queue.name, passive=True)
        return declared.declaration_result.message_count or 0


@contextlib.asynccontextmanager
async def opened(
    system: System, admin: AbstractChannel, database: Database, patch: pytest.MonkeyPatch, **settings: Any
) -> AsyncIterator[Desk]:
    """Quorum queues as the real ones are; what dies in the work queue is thrown into the dead one by the broker."""
    async with contextlib.AsyncExitStack() as stack:
        quorum: dict[str, Any] = {"x-queue-type": "quorum"}
        dead = await stack.enter_async_context(own_queue(admin, **quorum))
        back = quorum | {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name}
        work = await stack.enter_async_context(own_queue(admin, **back))
        patch.setattr(letter, "WORK_QUEUES", (work.name,))
        patch.setattr(trial, "STORED_QUEUE", work.name)
        account = accounts.broker(system, "admin", confirm_seconds=2)
        broker = make_broker(account, "test")
        await broker.start()
        stack.push_async_callback(broker.stop)
        orthanc = Orthanc(accounts.orthanc(system, "registration"))
        stack.push_async_callback(orthanc.aclose)
        vouching = Vouching(orthanc, ["upload", "registration"], "UTC")
        copies = Copies(broker, account)
        yield Desk(system, admin, database, broker, copies, dead, work, vouching, DeadLetterSettings(**settings))
