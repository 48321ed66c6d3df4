"""Which dead letters are meant, and taking a batch of them in hand."""

from dataclasses import dataclass, field

from aio_pika.abc import AbstractIncomingMessage

from services.registration_service.ops.letter import Letter
from services.registration_service.ops.peeking import Reading


@dataclass(frozen=True)
class Choice:
    """Letters by their ids, or of one cause, or, where neither is given, all; at most `limit` of them."""

    limit: int
    ids: frozenset[str] | None = None
    cause: str | None = None

    @property
    def most(self) -> int:
        """How many letters are enough."""
        return self.limit if self.ids is None else min(self.limit, len(self.ids))

    def means(self, letter: Letter) -> bool:
        """Whether the letter is one of them."""
        if self.ids is not None:
            return letter.id in self.ids
        return self.cause in (None, letter.cause)


@dataclass(frozen=True)
class Held:
    """A letter in hand, with its body."""

    letter: Letter
    message: AbstractIncomingMessage


@dataclass
class Batch:
    """What was taken in hand. `unknown` lie there no more; `more`: not all was looked at, so others may be there."""

    held: list[Held] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    more: bool = False


async def take_batch(reading: Reading, choice: Choice, most_bytes: int) -> Batch:
    """Take in hand the first of the letters meant, as far as `most_bytes` of bodies go; one at least."""
    batch = Batch()
    weight = 0

    def look(letter: Letter, message: AbstractIncomingMessage) -> bool:
        nonlocal weight
        if not choice.means(letter):
            return False
        weight += letter.size
        if batch.held and weight > most_bytes:
            return True
        batch.held.append(Held(letter, message))
        return len(batch.held) == choice.most

    await reading.through(look)
    missing = (choice.ids or frozenset()) - {held.letter.id for held in batch.held}
    if reading.seen >= reading.depth and weight <= most_bytes:
        batch.unknown = sorted(missing)
    else:
        batch.more = choice.ids is None or bool(missing)
    return batch
