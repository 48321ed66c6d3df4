"""Images that are not registered: list them by cause, and say to which exam they belong."""

import time
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import typer

from services.operator.client import Client, connected, quoted
from services.operator.errors import OperatorError
from services.operator.screen import console, refuse, say, say_json, say_rows, when
from services.operator.settings import Settings
from services.operator.status import AsJson, show_causes

SETTLES_SECONDS = 10.0
PAGE = 200

app = typer.Typer(no_args_is_help=True, help=__doc__)

Reason = Annotated[str, typer.Option(help="why, for the audit trail; never a patient's name")]
Cause = Annotated[str | None, typer.Option(help="only this cause: a code, or code:exam as the list shows it")]


@app.command("list")
def list_images(
    *,
    state: Annotated[Literal["waiting", "refused", "dead", "seen"], typer.Option(help="where they stand")] = "waiting",
    cause: Cause = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="images shown")] = 20,
    cursor: Annotated[str | None, typer.Option(help="go on where the last list ended")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is not registered: every cause with its count, then the images, the first to come at the top."""
    with connected(Settings()) as client:
        found = client.get("/ops/waiting", state=state, cause=cause, limit=limit, cursor=cursor)
    if as_json:
        say_json(found)
        return
    if not found["items"]:
        say(f"No image is {state}" + (f" for the cause {cause}." if cause else "."))
        return
    show_causes(found["causes"], more=found["moreCauses"])
    say("")
    rows = [(one["orthancInstanceId"], when(one["received"]), _brought(one), _why(one)) for one in found["items"]]
    say_rows(rows, ("orthanc id", "received", "from", "why"))
    if found["next"]:
        say(f"More of them: --cursor {found['next']}")


@app.command()
def assign(
    images: Annotated[list[str] | None, typer.Argument(help="Orthanc ids or SOP Instance UIDs")] = None,
    *,
    exam: Annotated[str, typer.Option(help="the exam they belong to")],
    reason: Reason,
    cause: Annotated[str | None, typer.Option(help="all that wait for this cause, instead of naming images")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask, with --cause")] = False,
    as_json: AsJson = False,
) -> None:
    """Register images under an exam, whoever brought them; they wait for it where it is not open yet."""
    if bool(images) == bool(cause):
        raise OperatorError("Name images, or a --cause: one of the two.")
    with connected(Settings()) as client:
        names = images or list(_of_cause(client, cause or ""))
        if cause and not yes:
            typer.confirm(f"Assign {len(names)} images to exam {exam}?", abort=True, err=True)
        body = {"examenID": exam, "reason": reason}
        failed = sum(not _assign(client, name, body, as_json=as_json) for name in names)
    if failed:
        raise typer.Exit(1)


def _assign(client: Client, name: str, body: dict[str, str], *, as_json: bool) -> bool:
    """Whether it was done; the others are not held up by one that cannot be."""
    try:
        done = client.post(f"/ops/waiting/{quoted(name)}/assign", body)
        if done["state"] == "seen":
            done = _settled(client, done)
    except OperatorError as error:
        refuse(f"{name}: {error}")
        return False
    if as_json:
        say_json(done)
    else:
        say(f"{done['orthancInstanceId']}: {_outcome(done)}")
    return True


def _settled(client: Client, done: dict[str, Any]) -> dict[str, Any]:
    """Its event had not been consumed, and is told anew: that takes the reconciler a moment."""
    deadline = time.monotonic() + SETTLES_SECONDS
    name = quoted(done["orthancInstanceId"])
    with console.status("its event is told anew ..."):
        while done["state"] == "seen" and time.monotonic() < deadline:
            time.sleep(0.5)
            found = client.get(f"/ops/timeline/{name}")
            done = {field: found[field] for field in done}
    return done


def _outcome(done: dict[str, Any]) -> str:
    if done["state"] == "registered":
        return f"registered under exam {done['examenID']}, imageID {done['imageID']}"
    if done["state"] == "seen":
        return f"exam {done['examenID']} is noted; it is registered when its event is consumed (examflow timeline)"
    return f"{done['state']}: {done['reason']}; then it is registered by itself"


def _of_cause(client: Client, cause: str) -> Iterator[str]:
    """All of them are listed before the first is touched: an image that is assigned leaves the list."""
    for state in ("waiting", "dead"):
        cursor = None
        while True:
            page = client.get("/ops/waiting", state=state, cause=cause, limit=PAGE, cursor=cursor)
            yield from (one["orthancInstanceId"] for one in page["items"])
            cursor = page["next"]
            if cursor is None:
                break


def _brought(one: dict[str, Any]) -> str:
    who = one["aet"] or ", ".join(one["uploaders"]) or "-"
    return f"{one['kind'] or '?'} {who}"


def _why(one: dict[str, Any]) -> str:
    why = [str(one["reason"] or "not decided yet")]
    if one["assignedBy"]:
        why.append(f"assigned by {one['assignedBy']}")
    if one["conflictExamenID"]:
        why.append(f"exam {one['conflictExamenID']} was asked for as well")
    return "; ".join(why)
