"""docker-compose.yml as one project: build it, start it, wait for it, take it down. Every step is bounded in time."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from deploy.compose.containers import wait_ready
from deploy.compose.engine import build_environment, compose_command, show
from deploy.local.environment import write_env
from deploy.local.errors import LocalSystemError
from deploy.local.ready import Report
from deploy.local.system import System

BUILD_SECONDS = 900.0
START_SECONDS = 240.0
READY_SECONDS = 120.0
# Compose stops in order, each container within its own grace.
STOP_SECONDS = 200.0
# The one service of the file that says how our image is built.
BUILDS = "definitions"


@dataclass(frozen=True)
class Stack:
    """One project, on the settings of one system."""

    project: str
    system: System
    settings: Path

    def start(self, report: Report) -> None:
        """Build, start, wait until all is ready, and write the env file that tells where it is."""
        report("building the image")
        self._must("build", BUILDS, seconds=BUILD_SECONDS)
        report("starting the containers")
        self._must("up", "-d", "--no-build", "--remove-orphans", seconds=START_SECONDS)
        wait_ready(self.project, READY_SECONDS, report)
        write_env(self.system, dict)

    def stop(self, *, forget: bool) -> None:
        """Stop and remove the containers, each within its grace; the volumes too if the data is to be forgotten."""
        self.system.layout.env.unlink(missing_ok=True)
        self._must("down", "--remove-orphans", *(["--volumes"] if forget else []), seconds=STOP_SECONDS)

    def _must(self, *words: str, seconds: float) -> None:
        code = self._compose(*words, seconds=seconds)
        if code != 0:
            raise LocalSystemError(f"'{' '.join(words)}' of Compose ended with {code}: see above.")

    def _compose(self, *words: str, seconds: float) -> int:
        command = compose_command()
        if command is None:
            raise LocalSystemError("There is neither 'docker compose' nor docker-compose here.")
        # The file decides: a variable of the shell with the same name would be stronger.
        environment = _without(build_environment(), dotenv_values(self.settings))
        options = ["--project-name", self.project, "--env-file", str(self.settings)]
        return show([*command, *options, *words], seconds, environment)


def _without(environment: Mapping[str, str], names: Container[str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in names}
