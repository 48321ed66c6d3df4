"""The audit trail: prove that it was not altered, and tell who saw an exam. Needs a token with the scope audit:read."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import Progress

from services.operator import fhir
from services.operator.client import Client, connected, quoted
from services.operator.errors import OperatorError
from services.operator.screen import say, say_json
from services.operator.settings import Settings
from services.operator.status import AsJson
from shared.audit_chain import Anchor, Link, Place, Pruning, Verification, Wrong

PAGE = 2000

app = typer.Typer(no_args_is_help=True, help=__doc__)


@dataclass(frozen=True)
class Verdict:
    """What was found: the first record that is wrong, if one is, and up to where the chain was read and anchored."""

    wrong: Wrong | None
    record_id: str | None
    first: int
    last: int
    anchored: int
    unsealed: int


@app.command()
def verify(
    *,
    anchors: Annotated[
        Path | None, typer.Option(help="anchors kept elsewhere: a file of lines like the service writes")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compute the whole hash chain anew, here, and name the first record that was altered, removed or swapped."""
    with connected(Settings()) as client:
        found = verified(client, _lines(anchors) if anchors else ())
    if as_json:
        say_json(asdict(found) | {"sound": found.wrong is None})
    if found.wrong is not None:
        named = f" (recordId {found.record_id})" if found.record_id else ""
        what = f"record {found.wrong.seq}{named} {found.wrong.what}"
        raise OperatorError(f"The audit trail is not as it was written: {what}.")
    if not as_json:
        _say_sound(found)


def verified(client: Client, anchors: Iterable[dict[str, Any]] = ()) -> Verdict:
    """Read the whole chain and compute it anew, against the service's anchors and these."""
    state = client.get("/audit/state")
    pruning = _pruning(state["pruning"])
    verification = Verification([_anchor(one) for one in [*state["anchors"], *anchors]], pruning)
    record_id = _read_all(client, verification, state["head"]["seq"])
    wrong = verification.finish()
    if wrong is None and state["outside"]:
        shown = ", ".join(state["outside"])
        wrong = Wrong(state["head"]["seq"], f"is the last of the chain, and these records are not in it: {shown}")
    first = pruning.to.seq + 1 if pruning else 1
    return Verdict(wrong, record_id, first, verification.head.seq, verification.anchored, state["unsealed"])


@app.command()
def export(
    *,
    exam: Annotated[str, typer.Option(help="the exam: its own records, and those of the images that are in it now")],
    kind: Annotated[Literal["fhir", "csv"], typer.Option("--format", help="FHIR R4 AuditEvents, or a table")] = "csv",
    since: Annotated[datetime | None, typer.Option(help="from this day on")] = None,
    until: Annotated[datetime | None, typer.Option(help="before this day")] = None,
) -> None:
    """Write who saw or changed an exam to standard output, newest first."""
    with connected(Settings()) as client:
        records = _accesses(client, exam, since, until)
        if kind == "fhir":
            sys.stdout.write(json.dumps(fhir.bundle(records), indent=2, ensure_ascii=False) + "\n")
            return
        writer: csv.DictWriter[str] | None = None
        for record in records:
            if writer is None:
                writer = csv.DictWriter(sys.stdout, list(record), lineterminator="\n")
                writer.writeheader()
            writer.writerow({name: _cell(value) for name, value in record.items()})


def _read_all(client: Client, verification: Verification, until: int) -> str | None:
    """Read the chain to its end as it was at the beginning; returns the recordId of the first wrong record."""
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("audit chain", total=until)
        while verification.head.seq < until:
            page = client.get("/audit/chain", after=verification.head.seq, limit=PAGE)["items"]
            if not page:
                return None
            for one in page:
                verification.read(Link(Place(one["seq"], one["hash"]), one["record"]))
                if verification.wrong:
                    return (one["record"] or {}).get("recordId")
            progress.update(task, completed=verification.head.seq)
    return None


def _accesses(client: Client, exam: str, since: datetime | None, until: datetime | None) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        times = {"since": _zoned(since), "until": _zoned(until)}
        page = client.get(f"/examens-medicaux/{quoted(exam)}/accesses", limit=1000, cursor=cursor, **times)
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def _say_sound(found: Verdict) -> None:
    say(f"The audit trail is sound: records {found.first} to {found.last}.", "bold green")
    if found.anchored:
        say(f"Anchors vouch for it up to record {found.anchored}.")
    else:
        say("No anchor vouches for it: one who may write the database could have computed it anew.", "yellow")
    if found.unsealed:
        say(f"{found.unsealed} records of this moment are not in the chain yet.")


def _zoned(moment: datetime | None) -> str | None:
    return moment.astimezone().isoformat() if moment else None


def _cell(value: Any) -> Any:
    """A spreadsheet would compute what begins like a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _anchor(said: dict[str, Any]) -> Anchor:
    return Anchor(Place(said["seq"], said["hash"]), datetime.fromisoformat(said["at"]))


def _pruning(said: dict[str, Any] | None) -> Pruning | None:
    if said is None:
        return None
    return Pruning(Place(said["seq"], said["hash"]), datetime.fromisoformat(said["at"]), said["days"])


def _lines(file: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in file.read_text().splitlines() if line]
    except (OSError, ValueError) as error:
        raise OperatorError(f"{file} is no file of anchors ({error}).") from error
