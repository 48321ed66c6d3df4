"""Registration is killed, told to end, restarted and paused at the points of a message's way."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.chaos.balance import Balance
from tests.chaos.lab import Lab
from tests.chaos.sessions import BEFORE_COMMIT, OUTBOX_SENDER, have_come, held
from tests.chaos.stores import ANNOUNCED
from tests.running import eventually

IN_FLIGHT = 4  # so many messages at least are at the point where the fault happens
STOP_SECONDS = 25.0  # until the supervisor kills what was told to end
QUEUE = "registration.dicom-stored"
LATENCY = 0.05  # seconds, each way


def _under_load(lab: Lab, fault: Callable[[Lab], None], before: Callable[[Lab], None] | None = None) -> Balance:
    """Let it happen again and again, each time while images come in; `before` they do, something may have to be."""
    exam = lab.exam()
    for _ in range(lab.scale.kills):
        if before:
            before(lab)
        with lab.sending(lab.images(lab.scale.each_kill, exam=exam)) as clients:
            clients.have_ended(1 / 4)
            fault(lab)
    return _one_row_each(lab)


def _one_row_each(lab: Lab) -> Balance:
    found = lab.balance()
    assert found.acknowledged == found.registered == found.sent
    audited = lab.tables.ask("SELECT subject FROM audit_events WHERE action = 'image.register'")
    assert Counter(subject for (subject,) in audited) == Counter(image.sop_uid for image in lab.sent)
    return found


@pytest.mark.row("registration killed before commit", "one row each")
def test_registration_killed_before_commit(lab: Lab) -> None:
    def fault(lab: Lab) -> None:
        with held(lab, BEFORE_COMMIT):
            have_come(lab, IN_FLIGHT)
            lab.kill("registration")

    _under_load(lab, fault)


@pytest.mark.row(
    "registration killed after commit, before acknowledging", "one row each, nothing announced as new twice"
)
def test_registration_killed_before_acknowledging(lab: Lab) -> None:
    def hold(lab: Lab) -> None:
        """Before they come in, and nothing else is in its hand: what it may have there is soon all committed."""
        lab.come_to_rest()
        lab.broker_link.hold("to_server", by="registration")

    def fault(lab: Lab) -> None:
        before = len(lab.sent) - lab.scale.each_kill
        eventually(lambda: lab.registered() >= before + IN_FLIGHT, what="rows committed, and not acknowledged")
        lab.kill("registration")
        lab.broker_link.cut(by="registration")
        lab.broker_link.heal()

    _under_load(lab, fault, before=hold)


@pytest.mark.row("registration killed after commit, before the outbox is sent", "one row each, every announcement made")
def test_registration_killed_before_announcing(lab: Lab) -> None:
    def fault(lab: Lab) -> None:
        with held(lab, OUTBOX_SENDER):
            _are_to_be_announced(lab)
            lab.kill("registration")

    _under_load(lab, fault)
    assert set(_announcements(lab).values()) == {1}


@pytest.mark.row(
    "registration killed while it sends the outbox, the confirms on their way",
    "one row each, every announcement made; the same event twice at most",
)
def test_registration_killed_while_announcing(lab: Lab) -> None:
    def fault(lab: Lab) -> None:
        with held(lab, OUTBOX_SENDER):
            _are_to_be_announced(lab)
            before = lab.ready(ANNOUNCED)
            lab.broker_link.hold("to_client", by="registration")
        eventually(lambda: lab.ready(ANNOUNCED) > before, what="announcements, and no confirm")
        lab.kill("registration")

    _under_load(lab, fault, before=_has_announced)
    assert set(_announcements(lab).values()) == {1, 2}, "no announcement was made twice"


def _has_announced(lab: Lab) -> None:
    """A process's first publish asks for the exchange before: held back there, nothing would be on its way."""
    first = lab.ready(ANNOUNCED)
    lab.send(lab.images(1, exam=lab.exam()))
    eventually(lambda: lab.ready(ANNOUNCED) > first, what="an announcement of this process")


def _are_to_be_announced(lab: Lab) -> None:
    count = "SELECT count(*) FROM outbox"
    eventually(lambda: lab.tables.ask(count)[0][0] >= IN_FLIGHT, what="announcements committed, and not sent")


def _announcements(lab: Lab) -> dict[str | None, int]:
    """How often each event was heard."""
    return Counter(message.event_id for message in lab.queues.messages(ANNOUNCED))


@pytest.mark.row("registration told to end (TERM) under load", "one row each, nothing innocent in the dead letters")
def test_registration_ended_under_load(lab: Lab) -> None:
    def fault(lab: Lab) -> None:
        old = lab.faulty.pid("registration")
        with held(lab, BEFORE_COMMIT):
            have_come(lab, IN_FLIGHT)
            os.kill(old, signal.SIGTERM)
            time.sleep(0.5)
            assert lab.faulty.pid("registration") == old, "it did not wait for what it has in hand"
        eventually(lambda: lab.faulty.pid("registration") not in (0, old), STOP_SECONDS, "its end, and another one")

    _under_load(lab, fault)


@pytest.mark.row(
    "30 rolling restarts over a backlog", "one row each, every announcement made, nothing innocent in the dead letters"
)
def test_registration_restarted_over_a_backlog(lab: Lab) -> None:
    some = lab.scale.restarts * (lab.scale.prefetch + 24)  # what it has in hand it finishes before it ends
    images = lab.images(max(lab.scale.images, some), exam=lab.exam())
    with lab.sending(images) as clients:
        lab.stop("registration", "reconciler")  # nobody but the broker shall bring a message back
        clients.have_ended(1)
        lab.database_link.delay(LATENCY)  # it would be done before the first restart
        for _ in range(lab.scale.restarts):
            lab.start("registration")
            _is_at_work(lab)
            lab.stop("registration")
            assert lab.registered() < len(images), "nothing was left to do"
        lab.database_link.delay(0)
        lab.start("registration")
        eventually(lambda: lab.registered() == len(images), lab.scale.drain_seconds, "the end of the backlog")
    _one_row_each(lab)


def _is_at_work(lab: Lab) -> None:
    before = lab.registered()
    eventually(lambda: lab.registered() > before, 40, "registration at work")


@pytest.mark.row(
    "consumers paused and resumed under load, the broker's link cut meanwhile",
    "ready, and nothing taken; then one row each",
)
def test_consumers_paused_and_resumed(lab: Lab) -> None:
    exam, some = lab.exam(), lab.scale.images // lab.scale.kills // 2
    for _ in range(lab.scale.kills):
        with lab.sending(lab.images(some, exam=exam)) as clients:
            clients.have_ended(1 / 4)
            eventually(lambda: _of_queue(lab, "consumers") != [0], what="a consumer")  # what is counted is late
            lab.tables.ask("INSERT INTO paused_consumers (queue, actor, reason) VALUES (:q, 'ops', 'a drill')", q=QUEUE)
            eventually(lambda: _of_queue(lab, "consumers", "messages_unacknowledged") == [0, 0], what="the pause")
            paused = lab.registered()
            lab.broker_link.cut(by="registration")
            lab.send(lab.images(some, exam=exam))
            assert _of_queue(lab, "consumers") == [0]
            assert lab.registered() == paused, "it took messages in the pause"
            lab.tables.ask("DELETE FROM paused_consumers")
    _one_row_each(lab)


def _of_queue(lab: Lab, *names: str) -> list[int]:
    """What the broker counts there."""
    found = lab.queues.http.get(f"/queues/%2F/{QUEUE}").raise_for_status().json()
    return [found.get(name, -1) for name in names]
