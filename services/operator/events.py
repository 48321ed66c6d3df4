"""Events as other systems publish them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.operator.client import connected
from services.operator.errors import OperatorError
from services.operator.screen import say
from services.operator.settings import Settings

app = typer.Typer(no_args_is_help=True, help=__doc__)

_DONE = ("create", "change", "skip")


@app.callback()
def events() -> None:
    """Events as other systems publish them."""


@app.command()
def validate(
    file: Annotated[str, typer.Argument(metavar="FILE", help="a CloudEvent as JSON; - for standard input")],
) -> None:
    """Say what would happen with an event today; nothing is written. Exit 0 if it would be done, 1 if not."""
    body = _read(file)
    with connected(Settings()) as client:
        answer = client.post_bytes("/events/validate", body, "application/cloudevents+json")
    say(f"{answer['outcome']}: {answer['reason']} ({answer['code']})")
    if answer["publisher"]:
        say(f"tried as {answer['publisher']}, {answer['type']}")
    if answer["field"]:
        say(f"look at the field {answer['field']}")
    if answer["outcome"] not in _DONE:
        raise typer.Exit(1)


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise OperatorError(f"{file} cannot be read: {error.strerror}") from error
