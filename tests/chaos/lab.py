"""The loss lab: one system behind proxies, and the words in which a row tells its fault.

with lab.sending(lab.images(exam=lab.exam()), tries=9) as clients:
    clients.have_ended(1 / 4)
    lab.stop("orthanc")
    lab.outage()
    lab.start("orthanc")
found = lab.balance()
assert found.registered == found.sent
"""

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence

import httpx

from services.operator.audit import verified
from services.operator.client import Client
from tests.chaos import balance, images, modality
from tests.chaos.balance import Allowed, Balance
from tests.chaos.clients import AT_ONCE, UPLOADER, Answer, Clients
from tests.chaos.facts import Facts
from tests.chaos.halves import Framing, Halves
from tests.chaos.images import Image
from tests.chaos.meddling import Meddling
from tests.chaos.scale import Scale
from tests.chaos.setup import Setup
from tests.chaos.stores import ANNOUNCED, DEAD, TOLD
from tests.integration import given
from tests.integration.queues import ready


class Lab(Meddling):
    """One row's lab, on an empty store. `orthanc_link`, `broker_link` and `database_link` are the services' proxies."""

    def __init__(self, setup: Setup, scale: Scale) -> None:
        super().__init__(setup)
        self.scale = scale
        self.faulty, self.running, self.background = setup.faulty, setup.faulty.running, setup.background
        self.orthanc, self.tables, self.queues = setup.orthanc, setup.tables, setup.queues
        self.orthanc_link = setup.proxies["orthanc"]
        self.broker_link = setup.proxies["rabbitmq"]
        self.database_link = setup.proxies["postgres"]
        self.sent: list[Image] = []
        self.answers: list[Answer] = []
        self.found: Balance | None = None
        self._frozen: set[int] = set()

    # -- what is there before the fault

    def exam(self, accession: str | None = None, *principals: str) -> str:
        """An exam that the uploader may write."""
        name = given.name()
        self.running.open_exam(name, *(principals or (f"user:{UPLOADER}",)), accessionNumber=accession)
        return name

    def accession(self) -> str:
        """An accession number that no image and no exam has yet."""
        return given.name("A")[: images.ACCESSION_LENGTH].ljust(images.ACCESSION_LENGTH, "0")

    def images(
        self, number: int | None = None, *, exam: str | None = None, accession: str = "", large: bool = False
    ) -> list[Image]:
        """Fresh images, as many as the scale says."""
        return images.fresh(self.scale.images if number is None else number, exam, accession, large=large)

    # -- clients

    @contextlib.contextmanager
    def sending(
        self, some: Sequence[Image], tries: int = 1, clients: Clients | None = None, *, heal: bool = True
    ) -> Iterator[Clients]:
        """Clients that upload these images meanwhile; at the end of the block all of them have ended."""
        clients = clients or self.clients(tries)
        self.sent += some
        clients.begin(self.background, some)
        try:
            yield clients
            if heal:
                self.heal()
            clients.end()
        finally:
            clients.give_up()  # a failed row must not send into the next
            self.answers += clients.answers

    def send(self, some: Sequence[Image], tries: int = 1, clients: Clients | None = None) -> Clients:
        """The same without a fault meanwhile."""
        with self.sending(some, tries, clients) as ended:
            ended.have_ended(1)
        return ended

    def send_meanwhile(self, some: Sequence[Image]) -> Clients:
        """The same under a fault, which is not healed for them."""
        with self.sending(some, heal=False) as clients:
            pass
        return clients

    @contextlib.contextmanager
    def storing(self, some: Sequence[Image], associations: int = 1) -> Iterator[None]:
        """A modality that sends these images by C-STORE meanwhile; at the end of the block Orthanc has taken all."""
        self.sent += [dataclasses.replace(image, bytes_kept=False) for image in some]
        with modality.storing(self.faulty.system, some, associations):
            yield

    def store(self, some: Sequence[Image], associations: int = 1) -> None:
        """The same without a fault meanwhile."""
        with self.storing(some, associations):
            pass

    @contextlib.contextmanager
    def half_sent(
        self, some: Sequence[Image], framings: Iterable[Framing], *, past_gateway: bool = False
    ) -> Iterator[Halves]:
        """Uploads of which three quarters were sent; at the end of the block each reads what it is told."""
        halves = Halves(self.background, self.running.token(UPLOADER))
        self.sent += some
        url = self.faulty.system.service_url("upload") if past_gateway else self.faulty.system.url + "/api"
        halves.begin(url, some, framings)
        try:
            yield halves
        finally:
            halves.end()
            self.answers += halves.answers

    def clients(self, tries: int = 1, at_once: int = AT_ONCE) -> Clients:
        url = self.faulty.system.url + "/api"
        token = self.running.token(UPLOADER)
        return Clients(url, token, tries=tries, pause_at_most=self.scale.pause_at_most, at_once=at_once)

    # -- faults

    def outage(self, seconds: float | None = None) -> None:
        """As long as the scale says."""
        time.sleep(self.scale.outage_seconds if seconds is None else seconds)

    def stop(self, *names: str) -> None:
        """End programs and leave them ended; a server's port then refuses, as it does for real."""
        for name in names:
            if proxy := self.setup.proxies.get(name):
                proxy.refuse()
        self.faulty.stop(*names)

    def start(self, *names: str) -> None:
        """Start them again, without waiting."""
        self.faulty.start(*names)
        for name in names:
            if proxy := self.setup.proxies.get(name):
                proxy.listen()

    def kill(self, name: str) -> None:
        """KILL; another one is started by the supervisor at once."""
        self.faulty.kill(name)

    def freeze(self, name: str) -> None:
        """STOP: its connections stand, and nobody answers."""
        self.freeze_process(self.faulty.pid(name))

    def freeze_process(self, pid: int) -> None:
        """The same for a process that the lab has started."""
        assert pid, "it does not run"  # to 0 would be to pytest's own group
        os.kill(pid, signal.SIGSTOP)
        self._frozen.add(pid)

    def thaw(self) -> None:
        """CONT for all that are frozen."""
        for pid in self._frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._frozen.clear()

    def heal(self) -> None:
        """The fault is over: links whole, processes awake, programs running and ready."""
        self.thaw()
        self.undo()
        self.setup.mend()

    # -- looks at it meanwhile

    def registered(self) -> int:
        """How many images are registered now."""
        return int(self.tables.ask("SELECT count(*) FROM images_medicales")[0][0])

    def ready(self, queue: str) -> int:
        """How many messages lie in a queue, in nobody's hand: told by itself, while statistics are a moment old."""
        return self.background.run(ready(self.setup.direct, [queue])).get(queue, 0)

    def come_to_rest(self) -> None:
        """Heal, and wait until all is done."""
        self.heal()
        undone = self._drain()
        assert not undone, f"not done in time: {undone}"

    def gauge(self, service: str, name: str) -> float:
        """One metric without labels, as the service shows it now."""
        shown = httpx.get(f"{self.faulty.system.service_url(service)}/metrics", timeout=10, trust_env=False).text
        return float(next(line.split()[1] for line in shown.splitlines() if line.startswith(f"{name} ")))

    # -- the end

    def balance(self, allowed: Allowed = balance.NOTHING) -> Balance:
        """Heal, drain, and draw the balance, which must hold: nothing lost, nothing doubled."""
        self.heal()
        undone = self._drain()
        self.found = balance.draw(self.facts(undone), allowed)
        self.found.must_hold()
        self._audit_is_sound()
        return self.found

    def _audit_is_sound(self) -> None:
        """The audit trail holds, as `examflow audit verify` finds it."""
        with self.running.client("dora", "audit:read") as http:
            verdict = verified(Client(http))
        assert verdict.wrong is None, verdict

    def facts(self, undone: dict[str, int]) -> Facts:
        """All that stands anywhere, now."""
        return Facts(
            sent=self.sent,
            answers=self.answers,
            stored=self.orthanc.instances(),
            records=self.tables.records(),
            ledger=self.tables.ledger(),
            exams=self.tables.exams(),
            dead_letters=self.queues.messages(DEAD),
            told=self.queues.messages(TOLD),
            announced=self.queues.messages(ANNOUNCED),
            audited=self.tables.uploads_audited(),
            undone=undone,
        )

    def _drain(self) -> dict[str, int]:
        """Wait until nothing is to be done, twice in a row; what is left when patience ends."""
        deadline = time.monotonic() + self.scale.drain_seconds
        quiet = 0
        while (undone := self.undone()) or quiet < 2:
            quiet = 0 if undone else quiet + 1
            if time.monotonic() > deadline:
                return undone
            time.sleep(0.4)
        return {}

    def undone(self) -> dict[str, int]:
        """What is still to be done, by name; nothing once the system is at rest."""
        return self.tables.undone(self.orthanc.newest_change()) | self.queues.undone()
