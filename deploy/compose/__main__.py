"""The commands for docker-compose.yml: ``python -m deploy.compose up|down|env|test``."""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from deploy.compose.containers import remains, remove
from deploy.compose.engine import KINDS, UnavailableError, provide_images, show
from deploy.compose.logs import followed, save_logs, show_unhealthy
from deploy.compose.settings import defaults, make_system, write_settings
from deploy.compose.stack import Stack
from deploy.local.errors import LocalSystemError
from deploy.local.files import locked
from deploy.local.layout import REPO, Layout
from deploy.local.ports import Ports
from deploy.local.ready import Report
from deploy.local.show import urls

# One for a person to look at, one for the tests; each has its own containers, volumes, secrets and ports.
UP_ROOT = REPO / ".run" / "compose-up"
TEST_ROOT = REPO / ".run" / "compose"
TEST_CHANGES = {
    "COMPOSE_PROJECT_NAME": "examflow-test",
    "EXAMFLOW_IMAGE": "examflow:test",
    "PUBLIC_ADDRESS": "127.0.0.1",
    "FRONT_NETWORK": "10.213.89",
}
TESTS_SECONDS = 900.0

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
console = Console()
Standins = Annotated[Path | None, typer.Option(help="Builds stand-ins of images that cannot be pulled.")]


def reporter() -> Report:
    """Lines with the seconds since now."""
    began = time.monotonic()
    return lambda line: print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)  # noqa: T201


def ours(*, forgetting: bool = False) -> Stack:
    """The project for a person, on the settings of .env; never with new secrets for old data, no server takes them."""
    project, secrets = defaults()["COMPOSE_PROJECT_NAME"], Layout(UP_ROOT).secrets
    if remains(project, "volume") and not (secrets.exists() or forgetting):
        raise LocalSystemError(
            f"There are volumes of {project}, but not the secrets they were made with ({secrets}): "
            "put the file back, or forget the data with 'make compose-down VOLUMES=1'."
        )
    system = make_system(UP_ROOT)
    return Stack(project, system, write_settings(system, {}))


@app.command()
def env() -> None:
    """Write the settings and secrets into one file, for Compose's --env-file."""
    print(ours().settings)  # noqa: T201


@app.command()
def up(standins: Standins = None) -> None:
    """Build and start everything, and print the URLs once all is ready."""
    report = reporter()
    provide_images(images(), standins, report)
    with locked(UP_ROOT / "lock", wait=False):
        stack = ours()
        try:
            stack.start(report)
        except LocalSystemError:
            show_unhealthy(stack.project)
            raise
    urls(stack.system, console)


@app.command()
def down(*, volumes: Annotated[bool, typer.Option(help="Forget the data too.")] = False) -> None:
    """Stop and remove the containers; the data stays in the volumes."""
    with locked(UP_ROOT / "lock", wait=False):
        ours(forgetting=volumes).stop(forget=volumes)


@app.command("test")
def run_against_containers(standins: Standins = None) -> None:
    """Start a system of its own, run the end-to-end tests against it, and take it down whatever happened."""
    report = reporter()
    try:
        provide_images(images(), standins, report)
    except UnavailableError as reason:
        print(f"compose-test: skipped: {reason}.")  # noqa: T201
        return
    signal.signal(signal.SIGTERM, interrupted)
    with locked(TEST_ROOT / "lock", wait=False):
        system = make_system(TEST_ROOT, Ports.free())
        stack = Stack(TEST_CHANGES["COMPOSE_PROJECT_NAME"], system, write_settings(system, TEST_CHANGES))
        if not remove(stack.project):
            raise LocalSystemError(f"What an earlier run left behind could not be removed: {remains(stack.project)}")
        try:
            stack.start(report)
            with followed(stack.project, system.layout.logs):
                code = run_tests(report)
        finally:
            take_down(stack, report)
    if code:
        raise typer.Exit(code)


def images() -> dict[str, str]:
    """The images by kind."""
    known = defaults()
    return {kind: known[name] for kind, name in KINDS.items()}


def run_tests(report: Report) -> int:
    """Run the end-to-end tests against the containers."""
    report("running tests/e2e")
    environment = dict(os.environ) | {"EXAMFLOW_TARGET": str(TEST_ROOT.relative_to(REPO))}
    return show([sys.executable, "-m", "pytest", "tests/e2e", "-q"], TESTS_SECONDS, environment)


def take_down(stack: Stack, report: Report) -> None:
    """Show what is not well, keep the logs, and remove containers, networks and volumes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        show_unhealthy(stack.project)
        save_logs(stack.project, stack.system.layout.logs)
        report(f"taking it down; the logs are in {stack.system.layout.logs}")
        stack.system.layout.env.unlink(missing_ok=True)
    finally:
        if not remove(stack.project):
            raise LocalSystemError(f"Not all of it could be removed: {remains(stack.project)}")
    report("everything is gone")


def interrupted(_: int, __: FrameType | None) -> NoReturn:
    """End as by Ctrl-C, so that everything is taken down."""
    raise KeyboardInterrupt


def main() -> None:
    """Run a command; what it cannot do is one sentence, not a traceback."""
    try:
        app()
    except LocalSystemError as error:
        Console(stderr=True).print(str(error), style="bold red", soft_wrap=True, highlight=False, markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
