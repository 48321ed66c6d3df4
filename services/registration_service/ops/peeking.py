"""One look at the dead letters: each is shown once, and nothing of them is kept but what the looker keeps."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from services.registration_service.copies import Copies
from services.registration_service.ops.letter import Letter, read_letter
from services.registration_service.settings import DeadLetterSettings
from shared.broker import NOT_CONFIRMED
from shared.errors import BrokerAway

Look = Callable[[Letter, AbstractIncomingMessage], bool]

_SILENCE_SECONDS = 3.0  # letters that are not there any more are not waited for


class Reading:
    """One look at what lies in the queue. `depth` is how many letters did when it began, `seen` how many were shown."""

    def __init__(
        self, channel: AbstractChannel, queue: str, depth: int, copies: Copies, settings: DeadLetterSettings
    ) -> None:
        self.depth = depth
        self.seen = 0
        self.done = 0
        self._channel = channel
        self._queue = queue
        self._copies = copies
        self._settings = settings
        self._twins: Counter[str] = Counter()

    async def through(self, look: Look) -> bool:
        """Show the letters to `look`, each once, until it says that it has enough; whether it saw all it wanted.

        Bodies are not kept here. The order is the broker's, and may be another one the next time.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.read_seconds):
                enough = False
                while not enough and self.seen < self.depth:
                    before = self.seen
                    enough = await self._look_at_some(look)
                    if self.seen == before:
                        break
                return enough or self.seen >= self.depth
        return False

    async def _look_at_some(self, look: Look) -> bool:
        """As many as one consumer gets before it would have to acknowledge."""
        most = min(self.depth, self.seen + self._settings.handful)
        satisfied = asyncio.get_running_loop().create_future()

        async def take(message: AbstractIncomingMessage) -> None:
            if satisfied.done():
                return
            self.seen += 1
            try:
                if look(self._named(message), message):
                    satisfied.set_result(True)
                elif self.seen == most:
                    satisfied.set_result(False)
            except Exception as error:  # noqa: BLE001  # else it would end in a log line, and the reading in silence
                satisfied.set_exception(error)

        with broker_away():
            await self._channel.set_qos(prefetch_count=self._settings.handful)
            queue = await self._channel.get_queue(self._queue, ensure=False)
            tag = await queue.consume(take)
        try:
            enough = await self._unless_silent(satisfied)
        finally:
            satisfied.cancel()  # where nobody waits any more, nothing more is shown
        with broker_away():
            await queue.cancel(tag)
        return enough

    async def _unless_silent(self, satisfied: asyncio.Future[bool]) -> bool:
        while True:
            before = self.seen
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(asyncio.shield(satisfied), _SILENCE_SECONDS)
            if self.seen == before:
                return False

    def _named(self, message: AbstractIncomingMessage) -> Letter:
        """Letters that are equal in everything are told apart by their number: it does not matter which is which."""
        letter = read_letter(message, self._copies.told(message))
        self._twins[letter.id] += 1
        twin = self._twins[letter.id]
        return letter if twin == 1 else replace(letter, id=f"{letter.id}-{twin}")

    async def remove(self, message: AbstractIncomingMessage) -> None:
        """Take the letter out of the queue, for good once `settle` has returned."""
        with broker_away():
            await message.ack()
        self.done += 1

    async def settle(self) -> None:
        """Wait until the queue has taken every acknowledgement.

        A channel keeps them back while a quorum queue has many to write, and forgets those when it closes. What is
        asked of the queue goes through its log behind those that were sent, and then makes room for the others: twice,
        and all are through. The two letters that this gets are given back with the rest.
        """
        queue = await self._channel.get_queue(self._queue, ensure=False)
        for _ in range(2):
            await queue.get(fail=False)


async def depth_of(channel: AbstractChannel, queue: str) -> int:
    """How many messages lie in the queue and in nobody's hands."""
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count or 0


@contextlib.contextmanager
def broker_away() -> Iterator[None]:
    """What the broker does not do in time, or at all, is BrokerAway."""
    try:
        yield
    except NOT_CONFIRMED as error:
        raise BrokerAway from error
