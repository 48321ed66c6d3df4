"""What would become of an event: the real decisions, made in transactions that are rolled back.

It speaks of today's database: an exam that another of the letters would open is not there yet.
"""

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import audit
from services.registration_service.consumers import AUDIT_QUEUE, EXAM_QUEUE, STORED_QUEUE
from services.registration_service.database import Database, means_away
from services.registration_service.errors import Hopeless, NotYet
from services.registration_service.ops.outcomes import Outcome, Recorded, Step, Stored, Upserted
from services.registration_service.reading import check_way, read_event
from services.registration_service.settings import DeadLetterSettings, MessageSettings
from services.registration_service.vouching import Vouching
from shared.events import AuditRecorded, DataT, DicomStored, Event, ExamUpserted

# Shorter than PostgreSQL takes to look for a deadlock (1 s): where they meet, a trial gives way to a registration.
_GIVE_WAY = text("SET LOCAL lock_timeout = '500ms'")
Numbered = tuple[int, Step]
_FIELD = re.compile(r"([A-Za-z0-9_.]+): ")


@dataclass(frozen=True)
class Said:
    """A message of a work queue, as a consumer would get it. No routing key: the one of its type."""

    queue: str
    body: bytes
    content_type: str | None
    publisher: str
    routing_key: str | None = None


class _Undo(Exception):
    """Ends a transaction of which nothing may stay."""


class Trial:
    """Tells what would become of messages. Nothing is written, nothing announced; Orthanc is only read."""

    def __init__(
        self, database: Database, vouching: Vouching, messages: MessageSettings, settings: DeadLetterSettings
    ) -> None:
        self._database = database
        self._vouching = vouching
        self._messages = messages
        self._settings = settings

    async def foresee(self, messages: Sequence[Said]) -> dict[int, Outcome]:
        """The outcome of each, by its number; those for which there was no time have none. OrthancAway, DatabaseAway.

        The second of two messages about one image meets what the first did.
        """
        give_up = time.monotonic() + self._settings.trial_seconds
        outcomes: dict[int, Outcome] = {}
        steps: list[Numbered] = []
        for number, said in enumerate(messages):
            try:
                steps.append((number, self._read(said)))
            except Hopeless as error:
                outcomes[number] = _failure(error)
        with structlog.contextvars.bound_contextvars(trial=True):
            for chunk in _chunks(steps, self._settings.trial_chunk):
                outcomes |= await self._try(chunk)
                if time.monotonic() > give_up:
                    break
        return outcomes

    def _read(self, said: Said) -> Step:
        if said.queue == STORED_QUEUE:
            stored = self._event(said, Event[DicomStored])
            return Stored(stored, said.publisher, stored.data, stored.time)
        if said.queue == EXAM_QUEUE:
            return Upserted(self._event(said, Event[ExamUpserted]), said.publisher)
        if said.queue == AUDIT_QUEUE:
            audit.must_be_believed(said.publisher, self._messages.audited)
            return Recorded(self._event(said, Event[AuditRecorded]), said.publisher)
        raise Hopeless("its work queue is not known")

    def _event(self, said: Said, kind: type[Event[DataT]]) -> Event[DataT]:
        check_way(said.routing_key or said.queue, said.queue, kind)
        return read_event(said.body, said.content_type, kind, self._messages.largest_bytes)

    async def _try(self, chunk: Sequence[Numbered]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        believed: list[Numbered] = []
        for number, step in chunk:  # Orthanc is asked before anything is locked
            try:
                believed.append((number, await self._believe(step)))
            except (Hopeless, NotYet) as error:
                outcomes[number] = _failure(error)
        with contextlib.suppress(_Undo):
            async with self._database.transaction() as session:
                await session.execute(_GIVE_WAY)
                for number, step in believed:
                    outcomes[number] = await _attempt(session, step)
                raise _Undo
        return outcomes

    async def _believe(self, step: Step) -> Step:
        if isinstance(step, Upserted | Recorded):
            return step
        data, happened = await self._vouching.believe(step.event, step.publisher)
        return replace(step, data=data, happened=happened)


async def _attempt(session: AsyncSession, step: Step) -> Outcome:
    """One message in a savepoint: what fails in it leaves the others as they are."""
    try:
        async with session.begin_nested():
            return await step.happen(session)
    except Exception as error:
        if means_away(error):
            raise
        return Outcome("fail", "failed", type(error).__name__)  # the reason that its dead letter would have
    finally:
        session.expunge_all()


def _failure(error: Hopeless | NotYet) -> Outcome:
    named = _FIELD.match(str(error))
    code = "not-stored" if isinstance(error, NotYet) else "unreadable"
    return Outcome("fail", code, str(error), named[1] if named else None)


def _chunks(steps: list[Numbered], size: int) -> Iterator[list[Numbered]]:
    """What is about one image or exam stays in one transaction, in its order; locks are held for a moment only."""

    def key(step: Numbered) -> str:
        return step[1].key

    chunk: list[Numbered] = []
    for _, alike in groupby(sorted(steps, key=key), key):
        chunk.extend(alike)
        if len(chunk) >= size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
