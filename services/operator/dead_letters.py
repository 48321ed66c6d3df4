"""What could not be done: list, show, replay, drop."""

import json
from typing import Annotated, Any

import typer

from services.operator.batches import Ask, Tally, run, told
from services.operator.choosing import LARGEST, LETTERS, any_left, chosen, complete, whole_images
from services.operator.client import Client, connected
from services.operator.letter_tables import number, print_letter, print_list, print_outcomes
from services.operator.screen import refuse, say
from services.operator.settings import Settings

app = typer.Typer(no_args_is_help=True, help=__doc__)

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="ids; their beginnings will do")]
Cause = Annotated[str | None, typer.Option(help="letters of one cause, as 'list' shows it; its beginning will do")]
All = Annotated[bool, typer.Option("--all", help="every dead letter there is now")]
Limit = Annotated[int | None, typer.Option(min=1, help="at most so many")]
Json = Annotated[bool, typer.Option("--json", help="the answer as JSON, for scripts")]


@app.command("list")
def list_letters(
    *,
    cause: Cause = None,
    limit: Annotated[int, typer.Option(min=0, help="newest letters shown")] = 20,
    as_json: Json = False,
) -> None:
    """Dead letters by cause, and the newest ones. Looking changes nothing."""
    with connected(Settings()) as client:
        if cause is not None:
            groups = client.get(LETTERS, limit=0)["groups"]
            cause = complete([group["cause"] for group in groups], cause, "cause")
        answer = client.get(LETTERS, cause=cause, limit=limit)
    if as_json:
        say(json.dumps(answer))
    else:
        print_list(answer)


@app.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="its beginning will do")], *, as_json: Json = False
) -> None:
    """One dead letter: why, since when, its headers and its event. What may name a patient is masked."""
    with connected(Settings()) as client:
        [full] = chosen(client, [letter_id], None, everything=False, limit=None)
        letter = client.get(f"{LETTERS}/{full.id}")
    if as_json:
        say(json.dumps(letter))
    else:
        print_letter(letter)


@app.command()
def replay(
    *,
    ids: Ids = None,
    cause: Cause = None,
    everything: All = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would come of it; nothing is changed")] = False,
    rate: Annotated[float, typer.Option(min=0.1, help="letters a second")] = 50.0,
    limit: Limit = None,
) -> None:
    """Send dead letters to their work queues again, each once. One that fails again comes back as a new letter."""
    with connected(Settings()) as client:
        letters = chosen(client, ids, cause, everything=everything, limit=limit)
        if dry_run:
            tally = run(letters, whole_images, _asking(client, "replay", dryRun=True, limit=LARGEST))
            print_outcomes(tally.outcomes)
            _end(tally, f"Nothing was changed: {number(tally.done, 'dead letter')} looked at.")
        else:
            two_seconds = max(1, min(LARGEST // 2, round(rate * 2)))
            tally = run(letters, any_left, _asking(client, "replay", limit=two_seconds), rate)
            _end(tally, f"Sent again: {told(tally)} What fails again comes back to the dead letters, once.")


@app.command()
def drop(
    *,
    reason: Annotated[str, typer.Option(help="why they are not needed; it is kept in the audit trail")],
    ids: Ids = None,
    cause: Cause = None,
    everything: All = False,
    limit: Limit = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Take dead letters out of the queue for good; who did it and why is kept."""
    with connected(Settings()) as client:
        letters = chosen(client, ids, cause, everything=everything, limit=limit)
        if letters and not yes:
            typer.confirm(f"Drop {number(len(letters), 'dead letter')} for good?", abort=True)
        tally = run(letters, any_left, _asking(client, "drop", reason=reason, limit=LARGEST // 2))
        _end(tally, f"Dropped: {told(tally)}")


def _asking(client: Client, what: str, **body: Any) -> Ask:
    def ask(ids: list[str]) -> dict[str, Any]:
        answer: dict[str, Any] = client.post(f"{LETTERS}/{what}", {"ids": ids, **body})
        return answer

    return ask


def _end(tally: Tally, sentence: str) -> None:
    """Say it, and exit: 0, 1 where letters were refused, 128 and the signal where it was stopped."""
    say(sentence)
    for letter_id, why in sorted(tally.refused.items()):
        refuse(f"{letter_id}: {why}")
    if tally.stopped_by:
        raise typer.Exit(128 + tally.stopped_by)
    if tally.refused:
        raise typer.Exit(1)
