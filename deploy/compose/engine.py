"""The Docker engine, the Compose tool and the images: what there is here, and how to get what is missing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local.errors import LocalSystemError
from deploy.local.layout import REPO
from deploy.local.ready import Report

ANSWER_SECONDS = 20.0
PULL_SECONDS = 600.0
STANDINS_SECONDS = 1200.0
# The images that are not built here: what the stand-ins' script calls them, and their names in .env.
KINDS = {
    "python": "PYTHON_IMAGE",
    "postgres": "POSTGRES_IMAGE",
    "rabbitmq": "RABBITMQ_IMAGE",
    "orthanc": "ORTHANC_IMAGE",
    "nginx": "NGINX_IMAGE",
}


class UnavailableError(LocalSystemError):
    """There is no way to run containers here: not a failure of the system."""


def show(command: list[str], seconds: float, environment: Mapping[str, str] | None = None) -> int:
    """Run a command that speaks to the person itself; returns its exit code, 124 where it took too long."""
    sys.stdout.flush()
    try:
        return subprocess.run(command, cwd=REPO, env=environment, timeout=seconds, check=False).returncode  # noqa: S603  # fixed words and our own names
    except subprocess.TimeoutExpired:
        print(f"{Path(command[0]).name} took longer than {seconds:.0f} s and was ended", flush=True)  # noqa: T201
        return 124


def ask(command: list[str], seconds: float = ANSWER_SECONDS) -> str | None:
    """What a command prints, both streams; None where it fails, takes too long or does not exist."""
    try:
        answer = subprocess.run(  # noqa: S603  # fixed words and our own names
            command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout if answer.returncode == 0 else None


def compose_command() -> list[str] | None:
    """Compose v2 where the plugin is there, else docker-compose 1.29; None where there is neither."""
    if ask(["docker", "compose", "version"]) is not None:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


def build_environment() -> dict[str, str]:
    """The environment without BuildKit where its client is missing: the classic builder takes our Dockerfile too."""
    buildkit = ask(["docker", "buildx", "version"]) is not None
    return dict(os.environ) | ({} if buildkit else {"DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"})


def provide_images(images: Mapping[str, str], standins: Path | None, report: Report) -> None:
    """See to it that an engine answers and has the images, by kind: pulled, or else built by the stand-ins' script.

    Raises UnavailableError, with the reason, where neither can be done.
    """
    trouble = _trouble(images, report)
    if trouble is None:
        return
    if standins is None or not standins.exists():
        raise UnavailableError(
            f"{trouble}, and there is no {standins or 'script'} to build stand-ins of the images with"
        )
    report(f"{trouble}: building stand-ins with {standins}")
    pairs = [f"{kind}={image}" for kind, image in images.items()]
    if show([str(standins), *pairs], STANDINS_SECONDS) != 0:
        raise LocalSystemError(f"{standins} failed: see above.")
    if compose_command() is None:
        raise LocalSystemError(f"{standins} ended well, but there is neither 'docker compose' nor docker-compose.")


def _trouble(images: Mapping[str, str], report: Report) -> str | None:
    """Why containers cannot be started yet, in words; pulls what is missing. None if nothing is in the way."""
    if ask(["docker", "info"]) is None:
        return "no Docker engine answers"
    if compose_command() is None:
        return "there is neither 'docker compose' nor docker-compose"
    for image in images.values():
        if ask(["docker", "image", "inspect", image]) is not None:
            continue
        # A short question first: where no registry is reached, a pull can take minutes to give up.
        if ask(["docker", "manifest", "inspect", image]) is None:
            return f"the image {image} is not here and no registry gives it"
        report(f"pulling {image}")
        if show(["docker", "pull", "--quiet", image], PULL_SECONDS) != 0:
            return f"the image {image} could not be pulled"
    return None
