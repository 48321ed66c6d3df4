"""Orthanc, RabbitMQ and PostgreSQL in containers; the services and the gateway run as local processes on top of them.

The images are those of .env; configuration, definitions, users and ports are those of the local system.
Run as a program, it is the watchdog of a test run: it removes the containers when that run has ended in any way.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import DockerException, NotFound  # type: ignore[import-untyped]
from requests.exceptions import RequestException
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from deploy.compose.settings import defaults
from deploy.local import ready
from deploy.local.layout import REPO, SERVICES
from deploy.local.ports import HOST, Ports
from deploy.local.render import DEPLOY, TEMPLATES, fill
from deploy.local.system import System, create
from deploy.rabbitmq.render import render

LABEL = "examflow.tests"  # its value names the test run: host and process
DONE = b"removed"  # what the watchdog is told at a regular end
READY_SECONDS = 120.0
# Testcontainers' own reaper is one more image to have; the watchdog below needs none.
testcontainers_config.ryuk_disabled = True


class ContainerBackends:
    """The servers of one test run as containers, published on 127.0.0.1 where local ones would listen."""

    def __init__(self) -> None:
        self._run = f"{socket.gethostname()}:{os.getpid()}"
        self._containers: dict[str, DockerContainer] = {}
        self._watchdog: subprocess.Popen[bytes] | None = None

    def start(self, root: Path) -> System:
        """Start the servers and wait until they are ready; ends the test run where there is no Docker engine."""
        _engine_answers_or_exit()
        _forget_dead_runs()
        command = [sys.executable, "-m", "tests.container_backends", self._run]
        # Its standard input ends when this process does, however that happens; Ctrl-C does not reach it.
        self._watchdog = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=REPO, start_new_session=True)
        system = create(root, ports=Ports.free(), programs=(*SERVICES, "gateway"))
        try:
            for make in (_postgres, _rabbitmq, _orthanc):
                name = make.__name__.removeprefix("_")
                container = make(system).with_kwargs(labels={LABEL: self._run})
                self._containers[name] = container
                _start(container)
            self._wait_ready(system)
        except BaseException:
            self.stop()
            raise
        return system

    def stop(self) -> None:
        """Remove the containers with their data, whatever state they are in."""
        for container in self._containers.values():
            container.get_docker_client().client.close()
        self._containers = {}
        _remove(self._run.__eq__)
        if self._watchdog:
            self._watchdog.communicate(DONE, timeout=60)
            self._watchdog = None

    def _wait_ready(self, system: System) -> None:
        deadline = time.monotonic() + READY_SECONDS
        for name, container in self._containers.items():
            while problem := _missing(system, name, container):
                container.get_wrapped_container().reload()
                if container.status == "exited" or time.monotonic() > deadline:
                    logs = b"\n".join(container.get_logs()).decode(errors="replace")[-3000:]
                    pytest.exit(f"The container of {name} is {container.status} and {problem}. Its log:\n{logs}", 1)
                time.sleep(0.2)


def _start(container: DockerContainer) -> None:
    try:
        container.start()
    except DockerException as error:
        pytest.exit(f"No container of {container.image} can be had: pull it, or name another in .env. {error}", 4)


def _missing(system: System, name: str, container: DockerContainer) -> str | None:
    """What a server lacks to be ready; None if it is."""
    if name != "postgres":
        return ready.missing(system, name)
    # Over TCP: the server that makes the roles at the first start listens on its socket alone.
    asked = container.exec(["pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres"])
    return None if asked.exit_code == 0 else "does not answer yet"


def _postgres(system: System) -> DockerContainer:
    passwords = {
        "POSTGRES_PASSWORD": system.secrets.postgres_admin,
        "EXAMFLOW_OWNER_PASSWORD": system.secrets.postgres_examflow,
        "EXAMFLOW_REGISTRATION_PASSWORD": system.secrets.postgres_registration,
    }
    container = _container("POSTGRES_IMAGE", {5432: system.ports.postgres}).with_envs(**passwords)
    roles = (DEPLOY / "local/roles.sql").read_bytes()
    container.with_copy_into_container(roles, "/docker-entrypoint-initdb.d/10-roles.sql")
    return container.with_command(["postgres", "-c", "max_connections=200", "-c", "timezone=UTC"])


def _rabbitmq(system: System) -> DockerContainer:
    definitions = json.loads((DEPLOY / "rabbitmq/definitions.json").read_text())
    with_hashes = render(definitions, system.secrets.of("rabbitmq"), earlier={})
    container = _container("RABBITMQ_IMAGE", {5672: system.ports.amqp, 15672: system.ports.management})
    for content, place in (
        (json.dumps(with_hashes), "/definitions/definitions.json"),
        ((DEPLOY / "rabbitmq/rabbitmq.conf").read_text(), "/etc/rabbitmq/conf.d/50-examflow.conf"),
        ((DEPLOY / "compose/rabbitmq.conf").read_text(), "/etc/rabbitmq/conf.d/60-compose.conf"),
    ):
        container.with_copy_into_container(content.encode(), place)
    return container


def _orthanc(system: System) -> DockerContainer:
    values = {f"ORTHANC_{user.upper()}_PASSWORD": secret for user, secret in system.secrets.of("orthanc").items()}
    shared = fill((DEPLOY / "orthanc/orthanc.json.template").read_text(), values)
    own = fill((TEMPLATES / "orthanc.json").read_text(), {"DATA": "/var/lib/orthanc/db"})
    container = _container("ORTHANC_IMAGE", {8042: system.ports.orthanc, 4242: system.ports.dicom})
    container.with_copy_into_container(shared.encode(), "/etc/orthanc/10-examflow.json")
    container.with_copy_into_container((DEPLOY / "orthanc/routes.lua").read_bytes(), "/etc/orthanc/routes.lua")
    return container.with_copy_into_container(own.encode(), "/etc/orthanc/20-tests.json")


def _container(image: str, ports: dict[int, int]) -> DockerContainer:
    """A container of an image that .env names, with these of its ports published on 127.0.0.1 alone."""
    container = DockerContainer(defaults()[image])
    published: dict[str, Any] = {f"{inside}/tcp": (HOST, outside) for inside, outside in ports.items()}
    container.ports.update(published)
    return container


@contextlib.contextmanager
def _docker() -> Iterator[Any]:
    client = DockerClient().client
    try:
        yield client
    finally:
        client.close()


def _engine_answers_or_exit() -> None:
    try:
        with _docker() as client:
            client.ping()
    except (DockerException, RequestException) as error:
        pytest.exit(f"No Docker engine answers ({error}): start one, or run the tests with --backends local.", 4)


def _remove(is_one: Callable[[str], bool]) -> None:
    """Remove the containers of the test runs that are meant."""
    with _docker() as client:
        for container in client.containers.list(all=True, filters={"label": LABEL}):
            if is_one(container.labels[LABEL]):
                with contextlib.suppress(NotFound):
                    container.remove(force=True, v=True)


def _forget_dead_runs() -> None:
    """What stayed behind where even the watchdog was killed."""

    def is_dead(run: str) -> bool:
        host, _, pid = run.rpartition(":")
        return host == socket.gethostname() and not Path(f"/proc/{pid}").exists()

    _remove(is_dead)


def watch(run: str) -> None:
    """Wait for the end of standard input, then remove the run's containers, unless it says that this was done."""
    if sys.stdin.buffer.read() == DONE:
        return
    for pause in (0.0, 3.0):  # one may just be being made
        time.sleep(pause)
        _remove(run.__eq__)


if __name__ == "__main__":
    watch(sys.argv[1])
