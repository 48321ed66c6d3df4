"""The commands of the local system: ``python -m deploy.local up|down|status|logs|restart|clean|token``."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.local import lifecycle, show, tokens
from deploy.local.errors import LocalSystemError
from deploy.local.layout import DEFAULT_ROOT, PROGRAMS, Layout
from deploy.local.ports import Ports
from deploy.local.supervision import Supervisor
from deploy.local.system import System, create, load, with_ports

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
# Not on a terminal there is no width to fit: a pipe gets whole lines.
console = Console(width=None if sys.stdout.isatty() else 200)
Root = Annotated[Path, typer.Option(envvar="EXAMFLOW_ROOT", help="Where the system lies.")]
Name = Annotated[str, typer.Argument(help=f"One of {', '.join(PROGRAMS)}.")]


def say(line: str) -> None:
    """One line, as it is."""
    console.print(line, soft_wrap=True, highlight=False, markup=False)


def existing(root: Path) -> System:
    """The system below ``root``, or an error that says how to get one."""
    system = load(root)
    if system is None:
        raise LocalSystemError(f"There is no system in {root}: 'make up' makes one.")
    return system


def wanted(root: Path, port: int | None, *, free_ports: bool) -> System:
    """The system as it should be now: a running one keeps its ports, a stopped one goes back to the fixed ones."""
    system = load(root) or create(root)
    ports = system.ports
    if not Supervisor(system.layout).answers():
        ports = Ports.free() if free_ports else Ports()
    return with_ports(system, ports.model_copy(update={"gateway": port} if port else {}))


@app.command()
def up(
    *,
    root: Root = DEFAULT_ROOT,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="The gateway's port.")] = None,
    free_ports: Annotated[bool, typer.Option(help="Ports that nobody uses, instead of the fixed ones.")] = False,
) -> None:
    """Start what does not run yet and print the URLs once all is ready."""
    system = wanted(root, port, free_ports=free_ports)
    lifecycle.up(system, say)
    show.urls(system, console)


@app.command()
def down(root: Root = DEFAULT_ROOT) -> None:
    """Stop what up started; the data stays."""
    ran = lifecycle.down(Layout(root.absolute()), say)
    say("stopped; the data is kept" if ran else "nothing was running")


@app.command()
def status(root: Root = DEFAULT_ROOT) -> None:
    """Show each program: state, pid, port, and what is not ready."""
    if not show.status(existing(root), console):
        raise typer.Exit(1)


@app.command()
def logs(
    name: Name,
    root: Root = DEFAULT_ROOT,
    follow: Annotated[bool | None, typer.Option(help="Go on with what is added; by default on a terminal.")] = None,
) -> None:
    """Show the end of a program's log, and follow it on a terminal."""
    layout = Layout(root.absolute())
    path = layout.log(name)
    if not path.exists():
        known = ", ".join(sorted(log.stem for log in layout.logs.glob("*.log"))) or "none yet"
        raise LocalSystemError(f"There is no log of {name!r}: NAME is one of {known}.")
    position = show.print_log(path, console)
    if sys.stdout.isatty() if follow is None else follow:
        show.follow(path, console, position)


@app.command()
def restart(name: Name, root: Root = DEFAULT_ROOT) -> None:
    """Stop one program gracefully and start it again."""
    lifecycle.restart(existing(root), name, say)


@app.command()
def clean(root: Root = DEFAULT_ROOT) -> None:
    """Stop the system and forget its data, secrets and logs."""
    lifecycle.clean(Layout(root.absolute()), say)
    say("stopped; the data is forgotten")


@app.command()
def token(
    sub: Annotated[str, typer.Option(help="Who it is for.")],
    root: Root = DEFAULT_ROOT,
    scope: Annotated[str, typer.Option(help="Scopes, separated by blanks.")] = "",
    group: Annotated[str, typer.Option(help="Groups, separated by blanks.")] = "",
) -> None:
    """Print one bearer token, valid for eight hours."""
    layout = Layout(root.absolute())
    if not sub:
        raise LocalSystemError("Whose token? Say so: make token SUB=u SCOPE='images:read'.")
    layout.make()
    typer.echo(tokens.mint(layout, sub, scope, group.split()))


def main() -> None:
    """Run a command; what cannot be done is told in red, without a stack trace."""
    try:
        app()
    except LocalSystemError as error:
        Console(stderr=True).print(str(error), style="bold red", soft_wrap=True, highlight=False, markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
