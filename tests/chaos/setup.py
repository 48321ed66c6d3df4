"""The system that the lab works on: brought up once behind proxies, emptied before each row, forgotten at the end."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from deploy.local import lifecycle
from deploy.local.layout import PROGRAMS, SERVICES, Layout
from deploy.local.ports import HOST, Ports
from deploy.local.system import Backing, create
from tests.chaos.background import Background
from tests.chaos.pretender import Pretender
from tests.chaos.proxy import Proxy
from tests.chaos.scale import Scale
from tests.chaos.stores import Orthanc, Queues, Tables
from tests.conftest import RUN
from tests.integration.faulty import Faulty
from tests.integration.queues import ready
from tests.running import eventually
from tests.sentinels import found_in_logs

PROXIED = {"orthanc": "orthanc", "rabbitmq": "amqp", "postgres": "postgres"}  # program, and its port's name
# How often the broker tells its queues' depths: the drain waits for them. By default it repeats a slow answer for five
# times as long as it took.
FAST_STATISTICS = """[
    {rabbit, [{quorum_tick_interval, 500}, {collect_statistics_interval, 500}]},
    {rabbitmq_management, [{management_db_cache_multiplier, 0}]}
].
"""
KEEPS_RUNNING = ("preview", "gateway")  # they hold no image


class Setup:
    """A running system whose services reach each server through a proxy."""

    def __init__(self, root: Path, scale: Scale) -> None:
        self.background = Background()
        ports = Ports.free()
        doors = _others(ports)
        self.proxies = {
            program: Proxy(self.background, getattr(doors, port), getattr(ports, port))
            for program, port in PROXIED.items()
        }
        backing = Backing.here(ports)
        through = {port: f"{HOST}:{getattr(doors, port)}" for port in PROXIED.values()}
        self.temporary = root / "run" / "tmp"
        settings = scale.settings | {"TMPDIR": str(self.temporary)}
        self.system = create(root, ports=ports, backing=backing.model_copy(update=through), settings=settings)
        self.direct = self.system.model_copy(update={"backing": backing})
        self.pretender = Pretender(self.background, self.direct.backing.orthanc)
        self.faulty = Faulty(self.system)
        self.versions: dict[str, str] = {}
        self.at_rest = False  # whether the last row left nothing under way
        self.orthanc, self.tables, self.queues = Orthanc(self.direct), Tables(self.direct), Queues(self.direct)

    def up(self) -> None:
        """Start it all."""
        self.temporary.mkdir(parents=True)
        conf = self.system.layout.conf
        conf.mkdir(parents=True)
        (conf / "advanced.config").write_text(FAST_STATISTICS)
        for proxy in self.proxies.values():
            proxy.listen()
        self.pretender.listen()
        lifecycle.up(self.system, print)
        self.queues.listen()
        self.versions = self._read_versions()

    def mend(self) -> None:
        """Every link whole, every program running and ready."""
        self.pretender.lies.clear()
        for proxy in self.proxies.values():
            proxy.heal()
        self.faulty.start(*PROGRAMS)
        self.faulty.becomes_ready()

    def empty(self, *, anew: bool) -> None:
        """Forget all images, exams and messages; `anew`: the services that decide about them start again as well.

        Where nothing is under way, they need not: none of them remembers an image.
        """
        self.mend()
        services = [name for name in SERVICES if anew and name not in KEEPS_RUNNING]
        self.faulty.stop(*services)
        self.orthanc.empty()
        self.queues.empty()
        self.tables.empty()
        for anchors in self.system.layout.audit.glob("*.jsonl"):  # of the chain that began before
            anchors.unlink()
        self.faulty.start(*services)
        self.faulty.becomes_ready()
        eventually(lambda: not self._undone(), 30, "the reconciler's first compare")
        found = self.left_over()
        assert not found, f"not empty: {found}"

    def _undone(self) -> dict[str, int]:
        return self.tables.undone(self.orthanc.newest_change())

    def left_over(self) -> dict[str, int]:
        """What is not empty."""
        queues = self.background.run(ready(self.direct, self.queues.depths()))
        found = self.tables.filled(besides="reconciler_cursor") | {f"queue {n}": left for n, left in queues.items()}
        return found | ({"Orthanc": count} if (count := self.orthanc.count()) else {})

    def _read_versions(self) -> dict[str, str]:
        return {
            "Orthanc": str(self.orthanc.http.get("/system").json()["Version"]),
            "RabbitMQ": str(self.queues.http.get("/overview").json()["rabbitmq_version"]),
            "PostgreSQL": str(self.tables.ask("SHOW server_version")[0][0]).split()[0],
        }

    def close(self) -> None:
        """End it."""
        for proxy in self.proxies.values():
            proxy.heal()
        self.pretender.close()
        self.faulty.running.close()
        self.orthanc.http.close()
        self.queues.http.close()
        self.faulty.stop("rabbitmq")


def _others(ports: Ports) -> Ports:
    """Free ports beside these."""
    while True:
        found = Ports.free()
        if not set(found.model_dump().values()) & set(ports.model_dump().values()):
            return found


def brought_up(scale: Scale) -> Iterator[Setup]:
    """Below .run/test-chaos-<pid>; gone afterwards."""
    _forget_dead_runs()
    root = RUN / f"test-chaos-{os.getpid()}"
    setup = Setup(root, scale)
    try:
        setup.up()
        yield setup
        setup.close()
        assert not (found := found_in_logs(root)), f"names, IDs or birth dates of patients stand in: {found}"
    finally:
        _forget(root)
        for proxy in setup.proxies.values():
            proxy.refuse()
        setup.background.close()


def _forget(root: Path) -> None:
    lifecycle.clean(Layout(root), print)
    shutil.rmtree(root, ignore_errors=True)


def _forget_dead_runs() -> None:
    for root in RUN.glob("test-chaos-*"):
        if not Path(f"/proc/{root.name.rpartition('-')[2]}").exists():
            _forget(root)
