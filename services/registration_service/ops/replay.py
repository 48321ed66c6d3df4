"""Dead letters sent again, or dropped; whatever is cut off in between, a letter is there twice rather than not at all.

Sent again: its image's row and the audit record are committed, the copy in its work queue is confirmed, the letter is
acknowledged, in that order. Dropped: the audit record is committed, the letter is acknowledged.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import audit
from services.registration_service.copies import Copies
from services.registration_service.database import Database
from services.registration_service.dead import DeadRows
from services.registration_service.ops.choice import Batch, Choice, Held, take_batch
from services.registration_service.ops.dead_letters import DeadLetters
from services.registration_service.ops.letter import Letter
from services.registration_service.ops.outcomes import Outcome
from services.registration_service.ops.peeking import Reading
from services.registration_service.ops.trial import Said, Trial
from services.registration_service.settings import DeadLetterSettings
from shared.errors import BrokerAway

log = structlog.get_logger()

REPLAYED = Counter("examflow_dead_letters_replayed", "Dead letters that were sent to their work queue again")
DROPPED = Counter("examflow_dead_letters_dropped", "Dead letters that an operator dropped")


@dataclass(frozen=True)
class Done:
    """What became of a batch: the ids done, and those that could not be, with the reason."""

    batch: Batch
    done: list[str]
    refused: dict[str, str]


class Replay:
    """Replays and drops dead letters, a batch at a time."""

    def __init__(
        self,
        letters: DeadLetters,
        copies: Copies,
        database: Database,
        dead_rows: DeadRows,
        trial: Trial,
        settings: DeadLetterSettings,
    ) -> None:
        self._letters = letters
        self._copies = copies
        self._database = database
        self._dead_rows = dead_rows
        self._trial = trial
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.at_once)

    async def replay(self, choice: Choice, actor: str) -> Done:
        """Send them again. Raises DeadLettersBusy, DatabaseAway, BrokerAway where nothing at all was confirmed."""
        async with self._letters.reading() as reading:
            batch = await take_batch(reading, choice, self._settings.batch_bytes)
            homeless = {held.letter.id: "its work queue is not known" for held in batch.held if not held.letter.queue}
            held = [one for one in batch.held if one.letter.queue]
            async with self._database.transaction() as session:
                said = [(one.message.body, self._copies.told(one.message).publisher) for one in held]
                await self._dead_rows.revive(session, said)
                _audit(session, [one.letter for one in held], actor, "dead-letter.replay", "replayed", None)
            give_up = time.monotonic() + self._settings.send_seconds
            sent = await asyncio.gather(*(self._send(reading, one, give_up) for one in held))
        ids = [one.letter.id for one in held]
        done = [letter_id for letter_id, confirmed in zip(ids, sent, strict=True) if confirmed]
        unsent = {
            i: "the broker did not confirm it" for i, confirmed in zip(ids, sent, strict=True) if confirmed is False
        }
        if unsent and not done:
            raise BrokerAway
        batch.more |= None in sent
        return Done(batch, done, homeless | unsent)

    async def drop(self, choice: Choice, actor: str, reason: str) -> Done:
        """Take them out of the queue for good. Raises as `replay` does."""
        async with self._letters.reading() as reading:
            batch = await take_batch(reading, choice, self._settings.batch_bytes)
            async with self._database.transaction() as session:
                _audit(session, [one.letter for one in batch.held], actor, "dead-letter.drop", "dropped", reason)
            for one in batch.held:
                await reading.remove(one.message)
                DROPPED.inc()
                _log("dead-letter.dropped", one.letter)
        return Done(batch, [one.letter.id for one in batch.held], {})

    async def foresee(self, choice: Choice) -> tuple[Batch, dict[str, Outcome]]:
        """What would become of them, by id, if they were sent again now; nothing is written, all stay where they are.

        One of the batch for which there was no time is not among them. Raises OrthancAway as well.
        """
        async with self._letters.reading() as reading:
            batch = await take_batch(reading, choice, self._settings.batch_bytes)
        outcomes = await self._trial.foresee([self._said(held) for held in batch.held])
        return batch, {batch.held[number].letter.id: outcome for number, outcome in outcomes.items()}

    def _said(self, held: Held) -> Said:
        message = held.message
        publisher = self._copies.told(message).publisher
        return Said(held.letter.queue, message.body, message.content_type, publisher, held.letter.routing_key)

    async def _send(self, reading: Reading, held: Held, give_up: float) -> bool | None:
        """Whether it was confirmed and taken out; None where there was no time for it."""
        first = held.letter.first.isoformat() if held.letter.first else None
        async with self._slots:
            if time.monotonic() > give_up:
                return None
            try:
                await self._copies.send_anew(held.letter.queue, held.message, held.letter.routing_key, first)
                await reading.remove(held.message)
            except BrokerAway:
                return False
        REPLAYED.inc()
        _log("dead-letter.replayed", held.letter)
        return True


def _audit(
    session: AsyncSession, letters: Sequence[Letter], actor: str, action: str, outcome: str, reason: str | None
) -> None:
    """The record comes first: what a crash then prevents is done again, and recorded again."""
    for letter in letters:
        audit.append(
            session,
            actor=actor,
            action=action,
            outcome=outcome,
            exam_id=letter.exam_id,
            subject=letter.about,
            reason=reason,
        )


def _log(event: str, letter: Letter) -> None:
    log.warning(event, id=letter.id, queue=letter.queue, cause=letter.cause, about=letter.about)
