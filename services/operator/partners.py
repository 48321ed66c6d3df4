"""Other systems that publish events: add, list, remove."""

import contextlib
from collections.abc import Collection, Iterator
from typing import Annotated

import httpx
import typer
from rich.table import Table

from services.operator.broker_admin import administering
from services.operator.errors import OperatorError
from services.operator.partner_rights import MAY_HEAR, MAY_PUBLISH
from services.operator.partnership import Depth, Partners
from services.operator.screen import console, say
from services.operator.settings import Settings

app = typer.Typer(no_args_is_help=True, help=__doc__)

NOTHING = "nothing"
FULL = 0.99

Name = Annotated[str, typer.Argument(help="its broker user: a-z, 0-9 and -, such as his-north")]
Listen = Annotated[
    list[str] | None,
    typer.Option(help=f"what its queue is bound to, once for each: {', '.join(MAY_HEAR)}, or {NOTHING}"),
]
Publish = Annotated[
    list[str] | None, typer.Option(help=f"what it may publish, once for each: {', '.join(MAY_PUBLISH)}, or {NOTHING}")
]


@contextlib.contextmanager
def _partners() -> Iterator[Partners]:
    with administering(Settings()) as admin:
        yield Partners(admin)


@app.command()
def add(
    name: Name,
    listen: Listen = None,
    publish: Publish = None,
    *,
    new_password: Annotated[bool, typer.Option("--new-password", help="replace the password")] = False,
) -> None:
    """Make a partner's user, rights and queue, or change what is given; the password is shown once.

    A new one may publish both types and listens to all of image.*; of an existing one stays what is not given.
    """
    heard, said = _chosen("--listen", listen, MAY_HEAR), _chosen("--publish", publish, MAY_PUBLISH)
    with _partners() as partners:
        added = partners.add(name, heard, said, new_password=new_password)
        for change in added.changes or ["nothing changed"]:
            say(f"{name}: {change}")
        if added.password:
            say(f"password, shown this once: {added.password}")
            say(f"AMQP URL: {_amqp_url(partners, name, added.password)}")


@app.command("list")
def show() -> None:
    """Each partner: what it may publish, what it listens to, what lies in its queue."""
    with _partners() as partners:
        everyone = partners.all()
    if not everyone:
        say("no partners")
        return
    table = Table("partner", "publishes", "listens to", "waiting / limit", "full", "connections")
    for one in everyone:
        publishes, listens = ", ".join(one.publishes) or NOTHING, ", ".join(one.listens) or NOTHING
        table.add_row(one.name, publishes, listens, *_depth(one.queue), str(one.connections))
    console.print(table)


@app.command()
def remove(
    name: Name, *, force: Annotated[bool, typer.Option("--force", help="even with messages in its queue")] = False
) -> None:
    """Remove a partner's user, rights and queue, and end its connections."""
    with _partners() as partners:
        partners.remove(name, force=force)
        say(f"{name}: removed")


def _chosen(option: str, keys: list[str] | None, possible: Collection[str]) -> list[str] | None:
    """The types given, None where none was. Lists may be given with commas too."""
    if not keys:
        return None
    chosen = {key.strip() for text in keys for key in text.split(",")}
    if unknown := chosen - {*possible, NOTHING}:
        raise OperatorError(f"{option} {min(unknown)}: it is one of {', '.join(possible)}, or {NOTHING}.")
    if NOTHING in chosen and len(chosen) > 1:
        raise OperatorError(f"{option}: {NOTHING} stands alone.")
    return sorted(chosen - {NOTHING})


def _depth(queue: Depth | None) -> tuple[str, str]:
    """What lies in the queue of its limit, and what that means."""
    if queue is None:
        return "no queue", "add makes it anew"
    waiting = "not counted yet" if queue.waiting is None else str(queue.waiting)
    if queue.longest is None:
        return waiting, "no limit known" if queue.waiting is None else "no limit"
    return f"{waiting} / {queue.longest}", f"{queue.fill:.0%}" + (", oldest dropped" if queue.fill >= FULL else "")


def _amqp_url(partners: Partners, name: str, password: str) -> str:
    """Where RABBITMQ_URL points if that is set: management need not stand on the same address."""
    known = Settings().rabbitmq_url
    where = httpx.URL(known.get_secret_value()) if known else None
    if where is not None and where.host:
        port = f":{where.port}" if where.port else ""
        return f"{where.scheme}://{name}:{password}@{where.host}{port}"
    return f"amqp://{name}:{password}@{partners.amqp_address()}"
