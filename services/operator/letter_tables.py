"""Dead letters on a screen: causes first, short ids, times of here, plain sentences."""

import json
from collections import Counter
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from services.operator.screen import console, say
from shared.texts import visible

_WORDS = {
    "create": "create",
    "change": "change",
    "skip": "already there",
    "wait": "wait",
    "refuse": "refuse",
    "fail": "fail again",
}
_MOST_REASONS = 20
_SHORT = 10  # characters of an id that are shown


def print_list(answer: dict[str, Any]) -> None:
    """Causes, then letters."""
    if not answer["total"]:
        say("There are no dead letters." if answer["complete"] else "No dead letter could be looked at in time.")
        return
    say(f"{number(answer['total'], 'dead letter')}, {number(len(answer['groups']), 'cause')}.")
    if not answer["complete"]:
        say("There are more: the time was too short to look at all of them.")
    table = _table("cause", "letters", "first", "last", "queue", "reason")
    for group in answer["groups"]:
        moments = moment(group["first"]), moment(group["last"])
        table.add_row(*_row(_short(group["cause"]), group["count"], *moments, group["queue"] or "?", group["reason"]))
    console.print(table)
    if answer["items"]:
        say(f"The newest {len(answer['items'])}:")
        table = _table("id", "failed", "attempt", "from", "type", "about", "cause")
        for one in answer["items"]:
            about = one["publisher"], one["type"], one["subject"]
            table.add_row(*_row(_short(one["id"]), moment(one["last"]), one["attempt"], *about, _short(one["cause"])))
        console.print(table)
    say("Next: 'show ID', 'replay --cause CAUSE --dry-run', then the same without --dry-run.")


def print_letter(letter: dict[str, Any]) -> None:
    """One letter, all of it."""
    for name in ("id", "reason", "cause", "queue", "attempt", "publisher", "correlationId", "size"):
        say(f"{name + ':':<15}{_text(letter[name])}")
    say(f"{'first failed:':<15}{moment(letter['first'])}")
    say(f"{'last failed:':<15}{moment(letter['last'])}")
    say(f"headers: {json.dumps(letter['headers'], indent=2)}")
    say(f"event: {json.dumps(letter['event'], indent=2)}")


def print_outcomes(outcomes: list[dict[str, Any]]) -> None:
    """What would happen, equal ones together: create 410, already there 5, ..."""
    totals: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    for one in outcomes:
        totals[one["outcome"]] += one["count"]
        reasons[one["outcome"], one["reason"]] += one["count"]
    if not totals:
        return
    say("If they were sent again now: " + ", ".join(f"{_WORDS[what]} {count}" for what, count in totals.most_common()))
    table = _table("what", "letters", "why")
    for (what, reason), count in reasons.most_common(_MOST_REASONS):
        table.add_row(*_row(_WORDS[what], count, reason))
    console.print(table)
    if len(reasons) > _MOST_REASONS:
        say(f"and {len(reasons) - _MOST_REASONS} further reasons")


def moment(written: str | None) -> str:
    """A time as the operator's clock shows it; the day where it was not today."""
    if written is None:
        return "?"
    local = datetime.fromisoformat(written).astimezone()
    today = local.date() == datetime.now().astimezone().date()
    return local.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def number(count: int, what: str) -> str:
    """1 dead letter, 2 dead letters."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _short(letter_id: str) -> str:
    """The beginning of an id; all of it where equal letters are told apart by their number."""
    return letter_id if "-" in letter_id else letter_id[:_SHORT]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, justify="right" if name in ("letters", "attempt") else "left", overflow="fold")
    return table


def _row(*cells: object) -> list[Text]:
    """As they are: a reason may hold brackets, which are no markup."""
    return [Text(visible(_text(cell))) for cell in cells]


def _text(value: object) -> str:
    return "-" if value is None else str(value)
