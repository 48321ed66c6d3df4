"""Which dead letters a command is about: short ids are completed, and the choice is made once, at its beginning."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import typer

from services.operator.client import Client
from services.operator.errors import OperatorError

LETTERS = "/ops/dead-letters"
LARGEST = 2000  # letters that one request handles
_MANY = 100_000
_NAMED = 40_000  # ids that fit into one request


class Chosen(NamedTuple):
    """A letter by its full id, and what it is about, where that is known."""

    id: str
    subject: str | None


def chosen(
    client: Client, ids: list[str] | None, cause: str | None, *, everything: bool, limit: int | None
) -> list[Chosen]:
    """The letters meant. One that comes later is not among them, even if it is one of these that failed again.

    Equal letters are numbered: the higher number goes first, so that those left keep theirs. Letters about one image
    stand together.
    """
    if sum((bool(ids), cause is not None, everything)) != 1:
        raise typer.BadParameter("say which letters: their ids, or --cause, or --all")
    letters: list[dict[str, Any]] = client.get(LETTERS, limit=_MANY)["items"]
    if ids:
        wanted = {complete([letter["id"] for letter in letters], prefix, "dead letter") for prefix in ids}
        letters = [letter for letter in letters if letter["id"] in wanted]
    elif cause is not None:
        wanted = {complete([letter["cause"] for letter in letters], cause, "cause")}
        letters = [letter for letter in letters if letter["cause"] in wanted]
    letters.sort(key=lambda letter: (letter["subject"] or "", letter["id"]), reverse=True)
    return [Chosen(letter["id"], letter["subject"]) for letter in letters[:limit]]


def any_left(left: Sequence[Chosen]) -> Sequence[Chosen]:
    """All that are left, as far as one request can name them: the server takes those that it meets first."""
    return left[:_NAMED]


def whole_images(left: Sequence[Chosen]) -> Sequence[Chosen]:
    """The next ones, with all that are about one image in one request: a dry run tells which would come second."""
    window = left[:LARGEST]
    cut = left[LARGEST].subject if len(left) > LARGEST else None
    return [one for one in window if cut is None or one.subject != cut] or window


def complete(known: list[str], prefix: str, what: str) -> str:
    """The only one that begins so, or is just this."""
    found = {one for one in known if one.startswith(prefix)}
    if prefix in found:
        return prefix
    if len(found) == 1:
        return found.pop()
    trouble = f"there is no {what}" if not found else f"{len(found)} of the letters begin with it: no single {what}"
    raise OperatorError(f"{prefix}: {trouble}; 'examflow dead-letters list' shows them.")
