"""Many letters, a few at a time: at a rate, with the progress shown, and stopped between two requests."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import Progress

from services.operator.choosing import Chosen
from services.operator.errors import OperatorError, TryLater
from services.operator.screen import refuse, say

PAUSES = [5, 10, 20]  # seconds

Ask = Callable[[list[str]], dict[str, Any]]
Name = Callable[[Sequence[Chosen]], Sequence[Chosen]]


@dataclass
class Tally:
    """What became of the letters so far. `stopped_by`: the signal that ended the run before its end."""

    left: Sequence[Chosen]
    chosen: int
    done: int = 0
    gone: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    stopped_by: int | None = None

    def add(self, answer: dict[str, Any]) -> int:
        """Count one answer; how many letters it was about."""
        done: list[str] = answer["tried"] if "tried" in answer else answer["done"]
        gone, refused = answer["unknown"], answer.get("refused", {})
        self.done += len(done)
        self.gone += len(gone)
        self.refused |= refused
        self.outcomes += answer.get("outcomes", ())
        settled = {*done, *gone, *refused}
        self.left = [one for one in self.left if one.id not in settled]
        return len(settled)


def run(letters: Sequence[Chosen], name: Name, ask: Ask, rate: float | None = None) -> Tally:
    """Ask for all of them, `name` saying which to name in the next request; what is refused on the way ends the run."""
    tally = Tally(letters, len(letters))
    with _stop() as stop, _progress(len(letters)) as advance:
        while tally.left and not stop.asked:
            began = time.monotonic()
            try:
                settled = tally.add(_patiently(ask, [one.id for one in name(tally.left)], stop))
                if not settled:
                    raise OperatorError("The others could not be found in time; try again.")
            except OperatorError as error:
                raise OperatorError(f"{told(tally)} Then: {error}") from error
            advance(tally.chosen - len(tally.left))
            if tally.left and rate:
                stop.wait(settled / rate - (time.monotonic() - began))
    tally.stopped_by = stop.signal if tally.left else None
    return tally


def _patiently(ask: Ask, ids: list[str], stop: "_Stop") -> dict[str, Any]:
    """A run of minutes outlasts what is busy or away for a moment; asking twice is harmless."""
    for pause in PAUSES:
        try:
            return ask(ids)
        except TryLater as error:
            if stop.asked:
                raise
            refuse(f"{error} Trying again in {pause} s.")
            stop.wait(pause)
    return ask(ids)


def told(tally: Tally) -> str:
    """The tally in a sentence or two."""
    sentence = f"{tally.done} of {tally.chosen} done."
    if tally.gone:
        sentence += f" {tally.gone} did not lie there any more."
    if tally.refused:
        sentence += f" {len(tally.refused)} could not be."
    if tally.stopped_by:
        sentence += " Stopped; the others are where they were."
    return sentence


class _Stop:
    """Set by Ctrl-C or SIGTERM; a second Ctrl-C ends the command at once, which loses nothing either."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._event = threading.Event()

    @property
    def asked(self) -> bool:
        return self.signal is not None

    def ask(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        self._event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def wait(self, seconds: float) -> None:
        self._event.wait(max(0.0, seconds))


@contextlib.contextmanager
def _stop() -> Iterator[_Stop]:
    stop = _Stop()
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; elsewhere a line every few seconds."""
    if sys.stderr.isatty():
        with Progress(console=Console(stderr=True)) as progress:
            bar = progress.add_task("letters", total=total)
            yield lambda done: progress.update(bar, completed=done)
        return
    told_at = time.monotonic()

    def line(done: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > 5:
            told_at = time.monotonic()
            say(f"{done} of {total}")

    yield line
