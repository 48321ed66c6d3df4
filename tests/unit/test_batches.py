"""Many letters, a few at a time: what is named in a request, what ends a run, and what does not."""

from typing import Any

import pytest

from services.operator import batches, choosing
from services.operator.batches import run, told
from services.operator.choosing import Chosen, any_left, whole_images
from services.operator.errors import OperatorError, TryLater


def letters(count: int) -> list[Chosen]:
    return [Chosen(f"{number:016x}", None) for number in range(count)]


class Server:
    """Handles two letters in each request; `troubles` come first."""

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = list(troubles)
        self.done: list[str] = []

    def ask(self, ids: list[str]) -> dict[str, Any]:
        if self.troubles:
            raise self.troubles.pop(0)
        self.done += ids[:2]
        return {"done": ids[:2], "refused": {}, "unknown": [], "more": len(ids) > 2}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "PAUSES", [0, 0])


def test_each_is_asked_for_once() -> None:
    server, chosen = Server(), letters(5)
    tally = run(chosen, any_left, server.ask)
    assert server.done == [one.id for one in chosen]
    assert (tally.done, told(tally)) == (5, "5 of 5 done.")


def test_what_is_busy_for_a_moment_ends_no_run() -> None:
    server = Server(TryLater("busy"), TryLater("busy"))
    assert run(letters(3), any_left, server.ask).done == 3


def test_what_stays_away_ends_the_run_and_says_how_far_it_came() -> None:
    server = Server()
    answers = iter([server.ask])

    def once(ids: list[str]) -> dict[str, Any]:
        for answer in answers:
            return answer(ids)
        raise TryLater("The broker is away.")

    with pytest.raises(OperatorError, match=r"2 of 5 done\. Then: The broker is away\."):
        run(letters(5), any_left, once)


def test_a_refusal_ends_it_at_once() -> None:
    server = Server(OperatorError("no"), OperatorError("no"))
    with pytest.raises(OperatorError, match=r"0 of 3 done\. Then: no"):
        run(letters(3), any_left, server.ask)
    assert len(server.troubles) == 1


def test_a_server_that_gets_nowhere_is_not_asked_for_ever() -> None:
    nowhere = {"done": [], "refused": {}, "unknown": [], "more": True}
    with pytest.raises(OperatorError, match="could not be found in time"):
        run(letters(3), any_left, lambda _: nowhere)


def test_what_is_gone_or_refused_is_not_asked_for_again() -> None:
    chosen = letters(3)
    answer = {"done": [chosen[0].id], "refused": {chosen[1].id: "why"}, "unknown": [chosen[2].id], "more": False}
    tally = run(chosen, any_left, lambda _: answer)
    assert told(tally) == "1 of 3 done. 1 did not lie there any more. 1 could not be."


def test_a_dry_run_names_whole_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "LARGEST", 3)
    a, b = [Chosen(f"a{n}", "a") for n in range(2)], [Chosen(f"b{n}", "b") for n in range(2)]
    assert whole_images(a + b) == a
    assert whole_images(b) == b
    many = [Chosen(f"c{n}", "c") for n in range(5)]
    assert whole_images(many) == many[:3]  # more than one request takes
    unknown = letters(5)
    assert whole_images(unknown) == unknown[:3]
