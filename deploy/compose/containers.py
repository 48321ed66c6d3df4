"""The containers of one Compose project: their states, waiting for them, removing them."""

import json
import time
from dataclasses import dataclass
from typing import Any

from deploy.compose.engine import ask
from deploy.local.errors import LocalSystemError
from deploy.local.ready import Report

PAUSE_SECONDS = 1.0
REMOVE_SECONDS = 60.0
LISTINGS = {"container": ["ps", "--all"], "network": ["network", "ls"], "volume": ["volume", "ls"]}
# In this order: what is in use cannot be removed.
REMOVALS = {"container": ["rm", "--force"], "network": ["network", "rm"], "volume": ["volume", "rm"]}


@dataclass(frozen=True)
class Container:
    """One container as the engine sees it; ``problem`` is None once it is as it should be."""

    name: str
    service: str
    problem: str | None


def containers(project: str) -> list[Container]:
    """All containers of the project, stopped ones too."""
    ids = (ask(["docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={project}"]) or "").split()
    described = json.loads(ask(["docker", "inspect", *ids]) or "[]") if ids else []
    found = [
        Container(one["Name"].lstrip("/"), one["Config"]["Labels"]["com.docker.compose.service"], _problem(one))
        for one in described
    ]
    return sorted(found, key=lambda container: container.service)


def remains(project: str, *kinds: str) -> list[list[str]]:
    """What the engine still has of the project, as one command for each kind that removes it."""
    label = f"label=com.docker.compose.project={project}"
    found = []
    for kind in kinds or REMOVALS:
        ids = ask(["docker", *LISTINGS[kind], "--quiet", "--filter", label])
        if ids:
            found.append(["docker", *REMOVALS[kind], *ids.split()])
    return found


def remove(project: str) -> bool:
    """Remove containers, networks and volumes, at once and whatever became of the files; False where some is left."""
    for command in remains(project):
        ask(command, REMOVE_SECONDS)
    return not remains(project)


def wait_ready(project: str, seconds: float, report: Report) -> None:
    """Return when each container is healthy or has done its one task; report each, and name what is not in time."""
    deadline = time.monotonic() + seconds
    ready: set[str] = set()
    while True:
        now = containers(project)
        for container in now:
            if container.problem is None and container.service not in ready:
                ready.add(container.service)
                report(f"{container.service} is ready")
        lacking = [container for container in now if container.problem]
        if now and not lacking:
            return
        if time.monotonic() > deadline:
            words = (
                "; ".join(f"{container.service} {container.problem}" for container in lacking) or "no container runs"
            )
            raise LocalSystemError(f"Not ready after {seconds:.0f} s: {words}.")
        time.sleep(PAUSE_SECONDS)


def _problem(described: dict[str, Any]) -> str | None:
    """What keeps it from being ready; a container without a restart policy has one task, and ends."""
    state = described["State"]
    once = described["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
    if state["Status"] == "exited" and once:
        return None if state["ExitCode"] == 0 else f"ended with {state['ExitCode']}"
    if once or state["Status"] != "running":
        return f"is {state['Status']}"
    health = state.get("Health", {"Status": "without a health check"})
    if health["Status"] == "healthy":
        return None
    said = [line for check in health.get("Log") or [] for line in check["Output"].splitlines()]
    return ": ".join([f"is {health['Status']}", *said[-1:]])[:300]
