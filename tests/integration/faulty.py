"""A system of our own whose programs may be stopped, killed and frozen, and what its services say meanwhile."""

import functools
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx

from deploy.local import lifecycle
from deploy.local.layout import PROGRAMS, SERVICES, Layout
from deploy.local.ports import Ports
from deploy.local.supervision import Supervisor
from deploy.local.system import System, create
from tests.conftest import RUN
from tests.running import Running, eventually
from tests.sentinels import found_in_logs


class Faulty:
    """One system, by its programs."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.running = Running(system.root)
        self._supervisor = Supervisor(system.layout)

    def stop(self, *names: str) -> None:
        """End them, and leave them ended. RabbitMQ without a chance to tidy up, for which it takes its time."""
        for name in names:
            self._supervisor.stop_program(name)
            if name == "rabbitmq" and (pid := self.pid(name)):
                os.kill(pid, signal.SIGKILL)
        self._supervisor.stop_and_wait(list(names))

    def start(self, *names: str) -> None:
        for name in names:
            self._supervisor.start_program(name)

    def pid(self, name: str) -> int:
        return self._supervisor.pids().get(name, 0)

    def kill(self, name: str) -> None:
        """End it without a chance to tidy up, and wait until the supervisor has started another."""
        old = eventually(lambda: self.pid(name), what=f"a running {name}")
        os.kill(old, signal.SIGKILL)
        eventually(lambda: self.pid(name) not in (0, old), what=f"another {name}")

    def live(self, service: str) -> bool:
        return self._ask(service, "live").status_code == 200

    def lacks(self, service: str) -> set[str]:
        """The checks that readiness names as failing."""
        answer = self._ask(service, "ready")
        checks: dict[str, str] = answer.json()["checks"]
        failing = {name for name, said in checks.items() if said != "ok"}
        assert answer.status_code == (503 if failing else 200)
        return failing

    def becomes_ready(self) -> None:
        for service in SERVICES:
            eventually(functools.partial(self._is_ready, service), 40, f"readiness of {service}")

    def _is_ready(self, service: str) -> bool:
        try:
            return not self.lacks(service)
        except httpx.TransportError:
            return False

    def _ask(self, service: str, what: str) -> httpx.Response:
        return httpx.get(f"{self.system.service_url(service)}/health/{what}", timeout=10, trust_env=False)


def make(*programs: str, **settings: str) -> Iterator[Faulty]:
    """Bring it up below .run/test-faults-<pid>, its services with these settings; gone afterwards.

    `programs` are all that run in it; none named: all.
    """
    _forget_dead_runs()
    root = RUN / f"test-faults-{os.getpid()}"
    system = create(root, ports=Ports.free(), programs=programs or PROGRAMS, settings=settings)
    try:
        lifecycle.up(system, print)
        faulty = Faulty(system)
        yield faulty
        faulty.running.close()
        faulty.stop("rabbitmq")
        assert not (found := found_in_logs(root)), f"names, IDs or birth dates of patients stand in: {found}"
    finally:
        _forget(root)


def mend(faulty: Faulty) -> None:
    """All programs run and are ready again."""
    faulty.start(*PROGRAMS)
    faulty.becomes_ready()


def _forget(root: Path) -> None:
    lifecycle.clean(Layout(root), print)
    shutil.rmtree(root, ignore_errors=True)


def _forget_dead_runs() -> None:
    for root in RUN.glob("test-faults-*"):
        if not Path(f"/proc/{root.name.rpartition('-')[2]}").exists():
            _forget(root)
