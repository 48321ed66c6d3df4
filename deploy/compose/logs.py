"""The containers' logs: shown where something is wrong, and as files where a local system has its own."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.compose.containers import Container, containers
from deploy.compose.engine import ask

LINES_SHOWN = 40
LINES_KEPT = 100_000
END_SECONDS = 5.0


def show_unhealthy(project: str) -> None:
    """Print the end of the log of each container that is not as it should be."""
    for container in containers(project):
        if container.problem:
            lines = (_log(container, LINES_SHOWN) or "(no log)").rstrip()
            print(f"\n--- {container.service} {container.problem}; the end of its log:\n{lines}", flush=True)  # noqa: T201


def save_logs(project: str, directory: Path) -> None:
    """Keep the logs of all containers, before they are gone."""
    directory.mkdir(parents=True, exist_ok=True)
    for container in containers(project):
        (directory / f"{container.service}.log").write_text(_log(container, LINES_KEPT) or "")


@contextmanager
def followed(project: str, directory: Path) -> Iterator[None]:
    """Meanwhile write the logs to files as they come: the tests read what a service says."""
    with ExitStack() as stack:
        for container in containers(project):
            file = stack.enter_context((directory / f"{container.service}.log").open("w"))
            process = subprocess.Popen(  # noqa: S603  # a container of ours
                ["docker", "logs", "--follow", container.name],  # noqa: S607  # whichever docker the person uses
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            stack.callback(_end, process)
        yield


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _log(container: Container, lines: int) -> str | None:
    return ask(["docker", "logs", "--tail", str(lines), container.name])
