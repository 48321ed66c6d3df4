"""Orthanc's store changes behind everybody's back: restored from a backup, unmounted, or images taken out of it."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.chaos.balance import Allowed
from tests.chaos.images import Image
from tests.chaos.lab import Lab
from tests.running import eventually

COMPARE_NOW = "UPDATE reconciler_cursor SET compare_wanted = now()"  # as docs/architecture.md tells the operator
MANY = 60  # more than the reconciler believes to be gone at once
BUSY = 3  # times a time limit, on a machine that does much else


def _ids(some: Sequence[Image]) -> frozenset[str]:
    return frozenset(image.orthanc_id for image in some)


@contextlib.contextmanager
def _orthanc_stopped(lab: Lab) -> Iterator[Path]:
    """Its directory, index and files, while nobody works in it; then it runs again."""
    lab.stop("orthanc")
    yield lab.faulty.system.layout.data / "orthanc"
    lab.start("orthanc")


@pytest.mark.row(
    "index restored from a backup; the reconciler looks at once, or when more has come than was lost",
    "nothing else missed, nothing doubled; what the restore lost is listed as `deleted`, and sent again it is whole",
)
def test_index_restored_from_a_backup(lab: Lab) -> None:
    exam = lab.exam()
    first = _restored(lab, exam)
    lab.send(lab.images(len(first), exam=exam), lab.scale.tries)
    _all_but(lab, first)
    again = lab.send(first)
    assert {answer.status for answer in again.answers} == {201}

    second = _restored(lab, exam, asleep=True)
    with lab.sending(lab.images(3 * len(second), exam=exam), lab.scale.tries) as clients:
        clients.have_ended(1)
        known = lab.tables.ask("SELECT seq FROM reconciler_cursor")[0][0]
        assert lab.orthanc.newest_change() > known, "the feed does not reach to where it was read"
    _all_but(lab, second)


def _restored(lab: Lab, exam: str, *, asleep: bool = False) -> list[Image]:
    """Images come before the backup and after it; it is put back; what that lost, registered all of it."""
    before, since = lab.images(lab.scale.images // 4, exam=exam), lab.images(lab.scale.few // 4, exam=exam)
    lab.send(before)
    lab.come_to_rest()
    with _orthanc_stopped(lab) as store:
        backup = store.with_name("backup")
        shutil.copytree(store, backup)
    lab.send(since, lab.scale.tries)
    lab.come_to_rest()
    if asleep:
        lab.freeze("reconciler")
    with _orthanc_stopped(lab) as store:
        shutil.rmtree(store)
        backup.rename(store)
    return since


def _all_but(lab: Lab, lost: Sequence[Image]) -> None:
    gone = _ids(lost)
    found = lab.balance(Allowed(deleted=gone))
    assert found.deleted == gone
    assert found.stored == found.sent - gone
    assert found.registered == found.sent  # the records stay


@pytest.mark.row(
    "image deleted in Orthanc between store and registration",
    "`deleted` at once where that was known before its event came, else after the next compare; never a live record",
)
def test_deleted_before_registration(lab: Lab) -> None:
    exam, third = lab.exam(), lab.scale.images // 3
    noticed, kept = (lab.images(third, exam=exam) for _ in range(2))
    unnoticed = lab.images(lab.scale.few // 3, exam=exam)  # more than 50 gone at once would be an alarm
    lab.stop("registration")
    with lab.sending([*noticed, *unnoticed, *kept]) as clients:
        clients.have_ended(1)
        eventually(lambda: _states(lab, noticed) == {"seen"}, 60, "a row for each")
        lab.orthanc.delete(_ids(noticed))
        eventually(lambda: _states(lab, noticed) == {"deleted"}, 120, "each missed when it was due")
        lab.freeze("reconciler")
        lab.orthanc.delete(_ids(unnoticed))
        lab.start("registration")
        eventually(
            lambda: lab.registered() >= len(unnoticed) + len(kept), lab.scale.drain_seconds, "the events consumed"
        )
    lab.come_to_rest()
    lab.tables.ask(COMPARE_NOW)
    gone = _ids([*noticed, *unnoticed])
    found = lab.balance(Allowed(deleted=gone))
    assert found.deleted == gone
    assert found.stored == _ids(kept)
    assert found.registered == _ids([*unnoticed, *kept])


def _states(lab: Lab, some: Sequence[Image]) -> set[str]:
    ledger = lab.tables.ledger()
    return {ledger[image.orthanc_id].state if image.orthanc_id in ledger else "" for image in some}


@pytest.mark.row(
    "store unmounted: Orthanc answers with an empty index to a full compare",
    "an alarm instead of mass deletion; it ends by itself once the store is back",
)
def test_store_unmounted(lab: Lab) -> None:
    lab.send(lab.images(max(lab.scale.images, MANY), exam=lab.exam()))
    lab.come_to_rest()
    with _orthanc_stopped(lab) as store:
        aside = store.with_name("unmounted")
        store.rename(aside)
        store.mkdir()
    lab.tables.ask(COMPARE_NOW)
    eventually(lambda: _alarm(lab) == 1, 60, "the alarm")
    lab.outage()
    assert _states(lab, lab.sent) == {"registered"}
    with _orthanc_stopped(lab) as store:
        shutil.rmtree(store)
        aside.rename(store)
    lab.heal()
    eventually(lambda: _alarm(lab) == 0, BUSY * lab.scale.compare_again_seconds, "the end of the alarm")
    found = lab.balance()
    assert found.acknowledged == found.registered == found.stored == found.sent
    assert not found.deleted


def _alarm(lab: Lab) -> float:
    return lab.gauge("reconciler", "examflow_reconciler_alarm")
