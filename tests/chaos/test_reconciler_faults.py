"""The reconciler is killed, frozen or doubled, or the feed that it reads is not the one it knows."""

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.chaos import locks, reconcilers
from tests.chaos.clients import Clients
from tests.chaos.images import Image
from tests.chaos.lab import Lab
from tests.chaos.link import Direction
from tests.running import eventually

BUSY = 3  # times a time limit, on a machine that does much else
LEDGER = "LOCK TABLE intake_ledger IN SHARE ROW EXCLUSIVE MODE"
CURSOR = "SELECT * FROM reconciler_cursor FOR UPDATE"
# Where a killed reconciler was: what it wrote or asked had arrived, or had not.
POINTS: tuple[tuple[str, Direction], ...] = (
    ("postgres", "to_client"),
    ("rabbitmq", "to_client"),
    ("orthanc", "to_client"),
    ("postgres", "to_server"),
    ("rabbitmq", "to_server"),
    ("orthanc", "to_server"),
)


@contextlib.contextmanager
def _parking(lab: Lab, some: Sequence[Image]) -> Iterator[Clients]:
    """Clients whose events never reach the broker: each context is parked on its image, for the reconciler to find."""
    with lab.sending(some, clients=lab.clients(lab.scale.tries, at_once=lab.scale.few)) as clients:
        lab.broker_link.hold(by="upload")
        yield clients
        clients.have_ended(1)
        lab.broker_link.cut(by="upload")


def _parts(some: Sequence[Image], number: int) -> list[Sequence[Image]]:
    return [some[part::number] for part in range(number)]


@pytest.mark.row("reconciler killed at any point", "nothing missed, nothing doubled")
def test_reconciler_killed_at_any_point(lab: Lab) -> None:
    accession = lab.accession()
    quarter, exam = lab.scale.images // 4, lab.exam(accession)
    parts = _parts(lab.images(quarter, accession=accession), lab.scale.restarts)
    with _parking(lab, lab.images(quarter, exam=exam)):
        _killed_within_a_page(lab, lab.images(2 * quarter, accession=accession))
        for number, part, (server, direction) in zip(itertools.count(), parts, itertools.cycle(POINTS), strict=False):
            with lab.storing(part):
                # What is published comes at once with the images; the rest is caught at another moment each time.
                time.sleep(0 if server == "rabbitmq" else number % 7 / 7)
                _killed_on_the_way(lab, server, direction)
    found = lab.balance()
    assert found.pending, "no context was parked"
    assert found.registered == found.stored == found.sent
    assert not lab.orthanc.parked(found.pending)


def _killed_on_the_way(lab: Lab, server: str, direction: Direction) -> None:
    """What it sends or is told at that moment never arrives."""
    link = lab.setup.proxies[server]
    link.hold(direction, by="reconciler")
    eventually(lambda: link.holding(direction, by="reconciler"), 30, "something on its way")
    lab.kill("reconciler")
    link.cut(by="reconciler")
    link.release("reconciler")


def _killed_within_a_page(lab: Lab, some: Sequence[Image]) -> None:
    """It has read them all, and can write none: what it wrote before must be undone, or they are missed."""
    lab.freeze("reconciler")
    lab.store(some)
    with locks.held(lab.setup.direct, LEDGER):
        lab.thaw()
        # One of the two claims what is due, as it does each second.
        eventually(lambda: locks.waiting(lab.tables) >= 2, 30, "a page on its way into the ledger")
        lab.kill("reconciler")


@pytest.mark.row(
    "reconciler frozen while leading", "another one goes on after a minute; nothing missed, nothing doubled"
)
def test_reconciler_frozen_while_leading(lab: Lab) -> None:
    accession, limit = lab.accession(), lab.scale.leader_seconds
    parts = _parts(lab.images(accession=accession), 4)
    lab.exam(accession)
    lab.stop("reconciler")
    with reconcilers.started(lab.faulty.system, EXAMFLOW_DATABASE__IDLE_SECONDS=str(limit)) as first:
        with locks.held(lab.setup.direct, CURSOR):  # it leads already, and waits for the row
            lab.store(parts[0])
            eventually(lambda: locks.leaders(lab.tables, waiting=True), 30, "a leader in its transaction")
            lab.freeze_process(first.pid)
        began = time.monotonic()
        lab.start("reconciler")
        lab.store(parts[1])
        assert locks.leaders(lab.tables), "the frozen one does not lead"
        eventually(lambda: lab.registered() == len(parts[0]) + len(parts[1]), BUSY * (limit + 10), "the other one")
        assert time.monotonic() - began >= limit, "nobody stood in its way"
        lab.thaw()
        lab.store(parts[2])
        _frozen_in_turns(lab, first.pid, parts[3])
        found = lab.balance()
        assert first.is_ready()
    assert found.registered == found.stored == found.sent


def _frozen_in_turns(lab: Lab, other: int, some: Sequence[Image]) -> None:
    """Each is stopped for a moment, wherever it stands, while the other goes on; its page is stale when it wakes."""
    with lab.storing(some):
        for _ in range(lab.scale.kills):
            for pid in (other, lab.faulty.pid("reconciler")):
                lab.freeze_process(pid)
                time.sleep(0.5)
                lab.thaw()


@pytest.mark.row("two reconcilers at once, all the time", "nothing missed, nothing doubled")
def test_two_reconcilers_at_once(lab: Lab) -> None:
    accession = lab.accession()
    exam, third = lab.exam(accession), lab.scale.images // 3
    with reconcilers.started(lab.faulty.system) as second:
        with lab.storing(lab.images(third, accession=accession), associations=2):
            lab.send(lab.images(third, exam=exam))
            with _parking(lab, lab.images(third, exam=exam)):
                pass
        found = lab.balance()
        assert second.is_ready()
    assert found.pending, "no context was parked"
    assert found.registered == found.stored == found.sent
    assert not lab.orthanc.parked(found.pending)


@pytest.mark.row("Orthanc's changes cleared, unread ones too", "nothing missed, nothing doubled")
def test_changes_cleared(lab: Lab) -> None:
    accession = lab.accession()
    half, exam = lab.scale.images // 2, lab.exam(accession)
    parts = _parts(lab.images(half, accession=accession), 2 * lab.scale.kills)
    before = _last_compare(lab)
    with _parking(lab, lab.images(half, exam=exam)):
        for unread, later in zip(parts[::2], parts[1::2], strict=True):
            lab.freeze("reconciler")
            lab.store(unread)
            lab.orthanc.clear_changes()
            lab.store(later)
            lab.thaw()
    found = lab.balance()
    assert found.pending, "no context was parked"
    assert found.registered == found.stored == found.sent
    assert not lab.orthanc.parked(found.pending)
    assert _last_compare(lab) != before, "the reconciler noticed nothing"


def _last_compare(lab: Lab) -> object:
    return lab.tables.ask("SELECT last_full_compare FROM reconciler_cursor")[0][0]


@pytest.mark.row(
    "images by C-STORE over several associations, reconciler killed once meanwhile", "registered like uploads"
)
def test_images_by_c_store(lab: Lab) -> None:
    accession = lab.accession()
    exam = lab.exam(accession)
    some = lab.images(accession=accession)
    with lab.storing(some, associations=4):
        eventually(lambda: lab.orthanc.count() >= len(some) // 2, 120, "half of them")
        lab.kill("reconciler")
    found = lab.balance()
    assert found.registered == found.stored == found.sent
    assert {record.exam for record in lab.tables.records()} == {exam}
    assert {entry.origin for entry in lab.tables.ledger().values()} == {"modality"}
