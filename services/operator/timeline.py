"""`examflow timeline`: what happened to one image, hop by hop."""

from typing import Annotated, Any

import typer

from services.operator.client import connected, quoted
from services.operator.screen import say, say_json, say_rows, when
from services.operator.settings import Settings
from services.operator.status import AsJson

_MARKS = {"done": "ok", "pending": "..", "failed": "!!", "unknown": "??"}


def timeline(
    image: Annotated[str, typer.Argument(help="Orthanc id, SOP Instance UID or imageID")], *, as_json: AsJson = False
) -> None:
    """Tell what happened to one image, what failed, and what to type next."""
    with connected(Settings()) as client:
        found = client.get(f"/ops/timeline/{quoted(image)}")
    if as_json:
        say_json(found)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    say(f"{found['orthancInstanceId']} is {found['state']}" + (f": {found['reason']}" if found["reason"] else ""))
    say(f"SOP Instance UID {found['sopInstanceUID']}, accession number {found['accessionNumber'] or '-'}")
    if found["correlationId"]:
        say(f"correlation id {found['correlationId']}")
    say("")
    say_rows([(_MARKS[one["state"]], one["hop"], when(one["at"]), one["says"]) for one in found["hops"]])
    if found["acts"]:
        say("")
        say_rows([_act(one) for one in found["acts"]], ("audit", "when", "who", "exam", "why"))
    for letter in found["deadLetters"] or ():
        say(
            f"dead letter {letter['id']}: {letter['reason']} (attempt {letter['attempt']}, last {when(letter['last'])})"
        )
    if found["next"]:
        say("")
        say(f"next: {found['next']['says']}", style="bold")
        if found["next"]["command"]:
            say(f"  {found['next']['command']}")


def _act(act: dict[str, Any]) -> tuple[str, ...]:
    what = f"{act['action']} {act['outcome']}"
    return what, when(act["at"]), act["actor"], act["examenID"] or "-", act["reason"] or "-"
