"""Dead letters as an operator looks at them: grouped by cause, and the newest of them one by one."""

import heapq
from dataclasses import dataclass
from datetime import UTC, datetime

from aio_pika.abc import AbstractIncomingMessage

from services.registration_service.ops.dead_letters import DeadLetters
from services.registration_service.ops.letter import Letter
from services.registration_service.ops.masking import shown_event, shown_headers
from shared.errors import DependencyAway

_ABOUT_ONE = 20  # letters about one image that are told
_UNKNOWN = datetime.min.replace(tzinfo=UTC)


@dataclass
class Group:
    """The letters of one cause: how many, the first failure and the last."""

    queue: str
    reason: str
    count: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def add(self, letter: Letter) -> None:
        """Count a letter."""
        self.count += 1
        if letter.first and (self.first is None or letter.first < self.first):
            self.first = letter.first
        if letter.last and (self.last is None or letter.last > self.last):
            self.last = letter.last


class Listing:
    """All letters, or those of one cause. `complete` is False where not every letter could be looked at in time."""

    def __init__(self, cause: str | None, limit: int) -> None:
        self.total = 0
        self.complete = False
        self.groups: dict[str, Group] = {}
        self._cause = cause
        self._limit = limit
        self._newest: list[tuple[datetime, str, Letter]] = []

    def look(self, letter: Letter, _: AbstractIncomingMessage) -> bool:
        """Count the letter; there is never enough."""
        if self._cause is None or letter.cause == self._cause:
            self.total += 1
            self.groups.setdefault(letter.cause, Group(letter.queue, letter.reason)).add(letter)
            heapq.heappush(self._newest, (letter.last or _UNKNOWN, letter.id, letter))
            if len(self._newest) > self._limit:
                heapq.heappop(self._newest)
        return False

    @property
    def items(self) -> list[Letter]:
        """The newest first."""
        return [letter for _, _, letter in sorted(self._newest, reverse=True)]


@dataclass(frozen=True)
class Whole:
    """One letter with what stands in it; what may name a patient is masked."""

    letter: Letter
    headers: dict[str, object]
    event: object


async def list_letters(letters: DeadLetters, cause: str | None, limit: int) -> Listing:
    """Look at all letters; keep the newest `limit` of them. Raises DeadLettersBusy, BrokerAway, DatabaseAway."""
    listing = Listing(cause, limit)
    async with letters.reading() as reading:
        listing.complete = await reading.through(listing.look)
    return listing


async def find_letter(letters: DeadLetters, letter_id: str) -> Whole | None:
    """The letter of this id; None where it does not lie there, or no more."""
    found: list[Whole] = []

    def look(letter: Letter, message: AbstractIncomingMessage) -> bool:
        if letter.id == letter_id:
            found.append(Whole(letter, shown_headers(message.headers), shown_event(message.body)))
        return bool(found)

    async with letters.reading() as reading:
        await reading.through(look)
    return found[0] if found else None


async def letters_about(letters: DeadLetters, orthanc_id: str, sop_instance_uid: str) -> list[Letter] | None:
    """The letters whose event is about this image; None where they could not be looked at now."""
    found: list[Letter] = []

    def look(letter: Letter, _: AbstractIncomingMessage) -> bool:
        if orthanc_id == letter.subject or sop_instance_uid == letter.sop_instance_uid:
            found.append(letter)
        return len(found) == _ABOUT_ONE

    try:
        async with letters.reading() as reading:
            await reading.through(look)
    except DependencyAway:
        return None
    return found
