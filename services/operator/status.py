"""`examflow status`: whether anything is missing, or needs a person."""

from typing import Annotated, Any

import typer

from services.operator.client import connected
from services.operator.errors import OperatorError
from services.operator.screen import refuse, say, say_json, say_rows, when
from services.operator.settings import Settings

EXIT_CODES = {"fine": 0, "needs-a-person": 1, "cannot-tell": 2}
CANNOT_TELL = EXIT_CODES["cannot-tell"]
_STYLES = {"fine": "bold green", "needs-a-person": "bold red", "cannot-tell": "bold yellow"}

AsJson = Annotated[bool, typer.Option("--json", help="print what the service answered")]


def status(*, as_json: AsJson = False) -> None:
    """Tell whether anything is missing. Exit code 0: all is well, 1: a person is needed, 2: it cannot be told."""
    try:
        with connected(Settings()) as client:
            found = client.get("/ops/status")
    except OperatorError as error:
        refuse(f"Cannot tell: {error}")
        raise typer.Exit(CANNOT_TELL) from error
    if as_json:
        say_json(found)
    else:
        _show(found)
    raise typer.Exit(EXIT_CODES[found["verdict"]])


def _show(found: dict[str, Any]) -> None:
    say(found["says"], style=_STYLES[found["verdict"]])
    if found["findings"]:
        say_rows([("  " + one["says"], one["command"] or "") for one in found["findings"]])
    say("")
    rows = [("servers", ", ".join(f"{name} {said}" for name, said in found["answers"].items()))]
    rows += _of_ledger(found["ledger"], found["unaccounted"])
    rows += _of_queues(found["queues"])
    say_rows(rows)
    if found["ledger"] and found["ledger"]["causes"]:
        say("")
        show_causes(found["ledger"]["causes"], more=found["ledger"]["moreCauses"])


def _of_ledger(ledger: dict[str, Any] | None, unaccounted: int | None) -> list[tuple[str, str]]:
    if ledger is None:
        return [("images", "not known: PostgreSQL does not answer")]
    states = ", ".join(f"{state} {count}" for state, count in ledger["states"].items() if count) or "none yet"
    oldest = ledger["oldestUndecided"]
    missing = "not known" if unaccounted is None else str(unaccounted)
    unsent = ledger["oldestAnnouncement"]
    return [
        ("images", states),
        ("unaccounted", missing + (f" (the oldest undecided came at {when(oldest)})" if oldest else "")),
        ("outbox", str(ledger["outbox"]) + (f" (the oldest since {when(unsent)})" if unsent else "")),
        ("reconciler", _of_reconciler(ledger["reconciler"])),
        *(("paused", f"{one['queue']} by {one['pausedBy']} since {when(one['since'])}") for one in ledger["paused"]),
    ]


def _of_reconciler(state: dict[str, Any]) -> str:
    if state["cursor"] is None:
        return "has not begun yet"
    compare = f"last full compare {when(state['lastFullCompare'])}"
    if state["compareWanted"]:
        compare += f", one is owed since {when(state['compareWanted'])}"
    return f"at change {state['cursor']}, {compare}" + (", ALARM" if state["alarm"] else "")


def _of_queues(queues: list[dict[str, Any]] | None) -> list[tuple[str, str]]:
    """The work queues and the dead letters always; a retry rung where something waits in it."""
    if queues is None:
        return [("queues", "not known: RabbitMQ does not answer")]
    shown = [one for one in queues if one["messages"] != 0 or ".retry-" not in one["queue"]]
    return [("queue", f"{one['queue']}: {_depth(one)}") for one in shown]


def _depth(queue: dict[str, Any]) -> str:
    if queue["messages"] is None:
        return "is not there"
    rests = ".retry-" in queue["queue"] or queue["queue"].endswith(".dead")
    return f"{queue['messages']} ready" + ("" if rests else f", consumers {queue['consumers']}")


def show_causes(causes: list[dict[str, Any]], *, more: bool) -> None:
    """Images that are not registered, by what holds them; the last column is what --cause takes."""
    rows = [(f"x {one['count']}", one["state"], _why(one), when(one["first"]), one["cause"] or "-") for one in causes]
    say_rows(rows, ("images", "state", "why", "first", "cause"))
    if more:
        say("... and more causes, with fewer images each")


def _why(cause: dict[str, Any]) -> str:
    why = str(cause["reason"] or "not decided yet")
    about = cause["examenID"] or cause["accessionNumber"]
    return why if about is None or about in why else f"{why} ({about})"
