"""Consumers of registration's queues: list them, pause them, resume them."""

from typing import Annotated, Any

import typer

from services.operator.client import Client, connected, quoted
from services.operator.screen import say, say_json, say_rows, when
from services.operator.settings import Settings
from services.operator.status import AsJson
from services.operator.waiting import Reason

app = typer.Typer(no_args_is_help=True, help=__doc__)

Queues = Annotated[list[str] | None, typer.Argument(help="queues; all of them if none is named")]


@app.command("list")
def list_consumers(*, as_json: AsJson = False) -> None:
    """Show which queues are consumed from, and what waits in them."""
    with connected(Settings()) as client:
        found = client.get("/ops/consumers")
    if as_json:
        say_json(found)
    else:
        say_rows([(one["queue"], _told(one)) for one in found["items"]])


@app.command()
def pause(queues: Queues = None, *, reason: Reason, as_json: AsJson = False) -> None:
    """Stop consuming, in every replica and until resumed; what is in hand is finished, what comes waits."""
    with connected(Settings()) as client:
        for queue in queues or _all(client):
            _show(client.put(f"/ops/consumers/{quoted(queue)}/pause", {"reason": reason}), as_json=as_json)


@app.command()
def resume(queues: Queues = None, *, as_json: AsJson = False) -> None:
    """Consume again."""
    with connected(Settings()) as client:
        for queue in queues or _all(client):
            _show(client.delete(f"/ops/consumers/{quoted(queue)}/pause"), as_json=as_json)


def _all(client: Client) -> list[str]:
    return [one["queue"] for one in client.get("/ops/consumers")["items"]]


def _show(consumer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(consumer)
    else:
        say(f"{consumer['queue']}: {_told(consumer)}")


def _told(consumer: dict[str, Any]) -> str:
    waiting = "RabbitMQ does not answer" if consumer["messages"] is None else _messages(consumer["messages"])
    if consumer["paused"]:
        since = f"paused by {consumer['pausedBy']} since {when(consumer['since'])} ({consumer['reason']})"
        return f"{since}; {waiting}"
    return f"not paused; {waiting}"


def _messages(count: int) -> str:
    return "1 message waits" if count == 1 else f"{count} messages wait"
