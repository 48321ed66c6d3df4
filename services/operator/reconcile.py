"""`examflow reconcile`: have the ledger made true to Orthanc now."""

import time
from datetime import datetime
from typing import Annotated, Any

import typer

from services.operator.client import Client, connected
from services.operator.errors import OperatorError
from services.operator.screen import console, say, say_json
from services.operator.settings import Settings
from services.operator.status import AsJson

POLL_SECONDS = 1.0


def reconcile(
    *,
    full: Annotated[bool, typer.Option("--full", help="compare all of Orthanc with the ledger")] = False,
    reason: Annotated[str | None, typer.Option(help="why, for the audit trail")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="return when it is done")] = False,
    seconds: Annotated[float, typer.Option(help="the longest wait")] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Tell every undecided image anew now; --full also finds what nobody ever told of, and what is gone."""
    with connected(Settings()) as client:
        begun = client.post("/ops/reconcile", {"full": full, "reason": reason})
        if as_json:
            say_json(begun)
        else:
            say(_begun(begun))
        if wait:
            _wait(client, begun, seconds)


def _begun(begun: dict[str, Any]) -> str:
    what = f"{begun['undecided']} undecided images are told anew"
    if begun["full"]:
        what += "; a full compare of Orthanc and the ledger begins"
    return f"{what}. How it is going: examflow status"


def _wait(client: Client, begun: dict[str, Any], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    with console.status("reconciling ...") as shown:
        while True:
            ledger = client.get("/ops/status")["ledger"]
            left = _left(begun, ledger) if ledger else "PostgreSQL does not answer"
            if not left:
                break
            shown.update(f"reconciling: {left}")
            if time.monotonic() > deadline:
                raise OperatorError(f"Not done after {seconds:g} s, and going on: {left}; see examflow status.")
            time.sleep(POLL_SECONDS)
    if ledger["reconciler"]["alarm"]:
        raise OperatorError("The compare ended in an alarm, and changed nothing: see examflow status.")
    say("Done.")


def _left(begun: dict[str, Any], ledger: dict[str, Any]) -> str:
    """What is still to be done, in words; empty at the end."""
    last = ledger["reconciler"]["lastFullCompare"]
    if begun["full"] and (not last or datetime.fromisoformat(last) < datetime.fromisoformat(begun["started"])):
        return "the full compare is not done"
    undecided = ledger["states"]["seen"]
    return f"{undecided} images are undecided" if undecided else ""
