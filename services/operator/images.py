"""Registered images that were linked wrongly: move them to their exam, or unlink them."""

from typing import Annotated

import typer

from services.operator.client import connected, quoted
from services.operator.screen import say, say_json
from services.operator.settings import Settings
from services.operator.status import AsJson
from services.operator.waiting import Reason

app = typer.Typer(no_args_is_help=True, help=__doc__)

Image = Annotated[str, typer.Argument(help="imageID, SOP Instance UID or Orthanc id")]


@app.command()
def move(
    image: Image,
    *,
    exam: Annotated[str, typer.Option(help="the exam it belongs to")],
    reason: Reason,
    as_json: AsJson = False,
) -> None:
    """Put a registered image under another exam."""
    with connected(Settings()) as client:
        done = client.post(f"/ops/images/{quoted(image)}/move", {"examenID": exam, "reason": reason})
    if as_json:
        say_json(done)
    else:
        say(f"{done['sopInstanceUID']}: registered under exam {done['examenID']}, imageID {done['imageID']}")


@app.command()
def unlink(image: Image, *, reason: Reason, as_json: AsJson = False) -> None:
    """Take a registered image out of its exam. It stays in the PACS, and waits until somebody links it anew."""
    with connected(Settings()) as client:
        done = client.post(f"/ops/images/{quoted(image)}/unlink", {"reason": reason})
    if as_json:
        say_json(done)
    elif done["state"] is None:
        say(f"{done['sopInstanceUID']}: its record is removed; no such image is stored")
    else:
        say(f"{done['sopInstanceUID']}: {done['state']}; {done['reason']}")
        say(f"to link it: examflow waiting assign {done['orthancInstanceId']} --exam EXAM --reason '...'")
