"""Faults that no restart mends: wrong answers, a full disk, too little memory. Each is taken back when it is healed."""

from collections.abc import Callable

from tests.chaos import limits
from tests.chaos.pretender import Lie
from tests.chaos.setup import Setup


class Meddling:
    """The lab's part that does and undoes them."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._undo: list[Callable[[], object]] = []

    def lie(self, lie: Lie) -> Lie:
        """Some of Orthanc's answers are another's; returns what counts them."""
        self.setup.pretender.lies.append(lie)
        self.setup.proxies["orthanc"].lead_to(self.setup.pretender.port)
        return lie

    def fill_disk(self) -> None:
        """Orthanc can write no byte more, neither files nor its index."""
        limits.fill_disk(pid := self.setup.faulty.pid("orthanc"))
        self.until_healed(lambda: limits.free_disk(pid))

    def alarm(self) -> None:
        """RabbitMQ is short of memory: it takes nothing more from who publishes."""
        self.until_healed(lambda: limits.end_alarm(self.setup.direct))
        limits.memory_alarm(self.setup.direct)

    def until_healed(self, undo: Callable[[], object]) -> None:
        """What a row did by itself is undone by this when it is healed, or after a row that failed."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Take it all back, the last first."""
        while self._undo:
            self._undo.pop()()
