"""PostgreSQL is away, dies, or takes its time, while registration is at work."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from deploy.local.layout import SERVICES
from tests.chaos import metrics
from tests.chaos.lab import Lab
from tests.chaos.sessions import BEFORE_COMMIT, have_come, held, trigger
from tests.chaos.stores import OURS, TOLD
from tests.integration.scratch import superuser
from tests.running import eventually

QUEUE = "registration.dicom-stored"
IN_FLIGHT = 4
TERMINATE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'registration' AND xact_start IS NOT NULL
"""


class Unharmed:
    """What must be the same when PostgreSQL is back: the processes, and what they burnt on the fault."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._before = self._found()

    def _found(self) -> dict[str, float]:
        pids = {name: self._lab.faulty.pid(name) for name in SERVICES}
        burnt = {
            outcome: metrics.total(self._lab, "registration", "examflow_events_consumed_total", outcome=outcome)
            for outcome in ("retried", "dead", "returned")
        }
        return pids | burnt

    def drained(self) -> None:
        """One row each; no service was restarted for it, and no message was tried again, given back or dead."""
        found = self._lab.balance()
        assert found.acknowledged == found.registered == found.sent
        assert self._found() == self._before


def _rungs(lab: Lab) -> dict[str, int]:
    """What lies in queues other than the one that is worked on."""
    return {name: n for name, n in lab.queues.depths().items() if n and name.startswith(OURS) and name != QUEUE}


@pytest.mark.row(
    "PostgreSQL down 2 min under load",
    "uploads go on; consuming pauses, nothing is acknowledged; drains after, without a restart",
)
def test_postgresql_down(lab: Lab) -> None:
    unharmed = Unharmed(lab)
    with lab.sending(lab.images(exam=lab.exam())) as clients:
        clients.have_ended(1 / 4)
        lab.stop("postgres")
        ended = time.time()
        clients.have_ended(1)
        assert clients.statuses().keys() == {201}
        eventually(lambda: lab.faulty.lacks("registration") == {"postgresql"}, what="readiness that tells")
        lab.outage(lab.scale.long_outage_seconds)
        depths = lab.queues.depths()
        assert _rungs(lab) == {}
        lab.start("postgres")
    unharmed.drained()
    before = "SELECT count(*) FROM intake_ledger WHERE decided_at <= to_timestamp(:ended)"
    acknowledged = depths[TOLD] - depths[QUEUE]
    assert acknowledged <= lab.tables.ask(before, ended=ended)[0][0], "acknowledged, and not decided"
    assert depths[QUEUE] >= IN_FLIGHT, "nothing came in meanwhile"


@pytest.mark.row("PostgreSQL killed mid-transaction", "one row each; drains after, without a restart")
def test_postgresql_killed(lab: Lab) -> None:
    unharmed = Unharmed(lab)
    exam = lab.exam()
    for _ in range(lab.scale.kills):
        with lab.sending(lab.images(lab.scale.each_kill, exam=exam)) as clients:
            clients.have_ended(1 / 4)
            with held(lab, BEFORE_COMMIT):
                have_come(lab, IN_FLIGHT)
                _kill_with_its_sessions(lab)
    unharmed.drained()


def _kill_with_its_sessions(lab: Lab) -> None:
    """KILL for the server and every process of it: none has time to end its transaction in order."""
    server = lab.faulty.pid("postgres")
    processes = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    lab.kill("postgres")
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # most end by themselves without the server
            os.kill(int(process), signal.SIGKILL)


@pytest.mark.row("registration's sessions ended mid-transaction", "one row each; drains after, without a restart")
def test_sessions_ended(lab: Lab) -> None:
    unharmed = Unharmed(lab)
    exam = lab.exam()
    for _ in range(lab.scale.kills):
        with lab.sending(lab.images(lab.scale.each_kill, exam=exam)) as clients:
            clients.have_ended(1 / 4)
            with held(lab, BEFORE_COMMIT):
                have_come(lab, IN_FLIGHT)
                lab.background.run(superuser(lab.setup.direct, TERMINATE))
    unharmed.drained()


@pytest.mark.row("lock wait longer than its time limit", "nothing meanwhile; drains after, without a restart")
def test_lock_wait(lab: Lab) -> None:
    unharmed, exam = Unharmed(lab), lab.exam()
    log = _Log(lab)
    with held(lab, f"SELECT 1 FROM examens_medicaux WHERE \"examenID\" = '{exam}' FOR UPDATE"):
        lab.send_meanwhile(lab.images(exam=exam))
        eventually(lambda: log.says("due to lock timeout"), 3 * lab.scale.lock_seconds, "the time limit of a lock")
        lab.outage()
        assert lab.registered() == 0
        assert _rungs(lab) == {}
    unharmed.drained()


@pytest.mark.row("statement time limit reached", "nothing meanwhile; drains after, without a restart")
def test_statement_time_limit(lab: Lab) -> None:
    unharmed, log = Unharmed(lab), _Log(lab)
    exam = lab.exam()
    with trigger(lab, "images_medicales", "PERFORM pg_sleep(600)"):
        lab.send_meanwhile(lab.images(exam=exam))
        limit = 3 * lab.scale.statement_seconds
        eventually(lambda: log.says("due to statement timeout"), limit, "the time limit of a statement")
        lab.outage()
        assert lab.registered() == 0
        assert _rungs(lab) == {}
    unharmed.drained()


class _Log:
    """What PostgreSQL writes from now on."""

    def __init__(self, lab: Lab) -> None:
        self._path = lab.faulty.system.layout.log("postgres")
        self._from = self._path.stat().st_size

    def says(self, words: str) -> bool:
        with self._path.open("rb") as file:
            file.seek(self._from)
            return words.encode() in file.read()
