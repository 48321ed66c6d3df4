"""Operators replay dead letters while what they need is killed, look at them again and again, and find many."""

import signal
import subprocess
import time

import pytest

from services.registration_service.settling import DEAD_QUEUE
from tests.chaos.lab import Lab
from tests.chaos.letters import bury_what_waits, rubbish
from tests.e2e.operator import EXAMFLOW, environment, examflow
from tests.running import eventually

PEEKS = 50


def _dead_letters(lab: Lab, images: int) -> int:
    """Images whose messages are dead letters; how many letters these are."""
    some = lab.images(images, exam=lab.exam())
    lab.stop("registration")
    with lab.sending(some) as clients:
        clients.have_ended(1)
        eventually(lambda: len(lab.tables.ledger()) == images, 60, "a row of each image")
        lab.stop("reconciler")
        letters = bury_what_waits(lab)
    _lie_there(lab, letters)
    assert lab.registered() == 0
    return letters


def _lie_there(lab: Lab, letters: int) -> None:
    eventually(lambda: lab.ready(DEAD_QUEUE) == letters, 30, f"{letters} dead letters")


def _replay_all(lab: Lab) -> None:
    done = examflow(lab.running, "dead-letters", "replay", "--all")
    assert done.returncode == 0, done.stdout + done.stderr


def _replaying(lab: Lab) -> "subprocess.Popen[bytes]":
    rate = max(1, lab.scale.images // 20)  # slow enough to be killed in the middle again and again
    command = [*EXAMFLOW, "dead-letters", "replay", "--all", "--rate", str(rate)]
    return subprocess.Popen(command, env=environment(lab.running), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.row(
    "replay killed between publish and acknowledge: registration, and the command itself, again and again",
    "nothing lost: the letter stays, or its copy is worked on, or both",
)
def test_replay_killed(lab: Lab) -> None:
    letters = _dead_letters(lab, lab.scale.images)
    for kill in range(lab.scale.kills):
        before = lab.registered()
        replay = _replaying(lab)
        eventually(lambda before=before: lab.registered() > before, 30, "letters sent again")  # type: ignore[misc]
        lab.broker_link.hold("to_client", by="registration")  # copies are taken, and their confirms never seen
        eventually(lambda: lab.broker_link.holding("to_client", by="registration"), 20, "a copy without its confirm")
        if kill % 2:
            replay.send_signal(signal.SIGKILL)
        lab.kill("registration")
        replay.kill()
        replay.wait()
        lab.broker_link.cut(by="registration")
        lab.heal()
    assert 0 < lab.ready(DEAD_QUEUE) < letters, "it was killed before it began, or after its end"
    _replay_all(lab)
    found = lab.balance()
    assert found.acknowledged == found.registered == found.sent
    assert not found.dead


@pytest.mark.row("peeking 50 times at the dead letters", "nothing lost, nothing moved")
def test_peeking(lab: Lab) -> None:
    letters = _dead_letters(lab, lab.scale.images)
    with lab.running.at("EXAMFLOW_URL", Authorization=f"Bearer {lab.running.token('olga', 'ops')}") as client:
        for _ in range(PEEKS):
            listed = client.get("/ops/dead-letters", params={"limit": 100_000}).raise_for_status().json()
            assert (listed["total"], len({item["id"] for item in listed["items"]})) == (letters, letters)
    _lie_there(lab, letters)
    _replay_all(lab)
    found = lab.balance()
    assert found.acknowledged == found.registered == found.sent


@pytest.mark.row(
    "10,000 dead letters, some of them good", "listed by cause, the bad ones dropped, the good ones replayed"
)
def test_many_dead_letters(lab: Lab) -> None:
    good = _dead_letters(lab, lab.scale.few)
    number = lab.scale.letters
    lab.background.run(rubbish(lab, number), seconds=300)
    eventually(lambda: lab.ready(DEAD_QUEUE) == number + good, 300, "a letter for each")
    with lab.running.at("EXAMFLOW_URL", Authorization=f"Bearer {lab.running.token('olga', 'ops')}") as client:
        began = time.monotonic()
        listed = client.get("/ops/dead-letters").raise_for_status().json()
        assert time.monotonic() - began < 60  # the gateway's patience
    assert listed["complete"]
    causes = listed["groups"]
    bad = next(cause for cause in causes if cause["count"] == number)
    assert sorted(cause["count"] for cause in causes) == sorted([number, good])
    why = ["--reason", "rubbish of the loss lab", "--yes"]
    dropped = examflow(lab.running, "dead-letters", "drop", "--cause", bad["cause"], *why)
    assert dropped.returncode == 0, dropped.stdout + dropped.stderr
    _lie_there(lab, good)
    _replay_all(lab)
    found = lab.balance()
    assert found.acknowledged == found.registered == found.sent
    assert lab.tables.ask("SELECT count(*) FROM audit_events WHERE action = 'dead-letter.drop'") == [(number,)]
