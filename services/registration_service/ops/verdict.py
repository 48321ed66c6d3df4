"""What a person has to do, from what the servers told: in words, with the command that shows more."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from services.registration_service.consumers import WORK_QUEUES
from services.registration_service.ops.schemas import Finding, LedgerCounts, Queue, ReconcilerState
from services.registration_service.settings import Settings
from services.registration_service.settling import DEAD_QUEUE

FINE = "Nothing is missing: every image in Orthanc is accounted for."


@dataclass(frozen=True)
class Verdict:
    """All is well, a person is needed, or it cannot be told; what to do, the most urgent first."""

    verdict: Literal["fine", "needs-a-person", "cannot-tell"]
    says: str
    findings: list[Finding]


def verdict_of(
    answers: Mapping[str, str],
    ledger: LedgerCounts | None,
    queues: Sequence[Queue] | None,
    unaccounted: int | None,
    settings: Settings,
) -> Verdict:
    """An incomplete picture is never fine, and nothing that is found is left out of it."""
    away = [name for name, said in answers.items() if said != "ok"]
    findings = [Finding(code="server-away", says=f"{name}: {answers[name]}") for name in away]
    if ledger is not None:
        findings += _of_ledger(ledger, unaccounted, settings)
    if queues is not None:
        paused = {consumer.queue for consumer in ledger.paused} if ledger else set(WORK_QUEUES)
        findings += _of_queues(queues, paused)
    if away or unaccounted is None:
        names = ", ".join(away) or "Orthanc's change feed"
        return Verdict("cannot-tell", f"Cannot tell whether anything is missing: no answer from {names}.", findings)
    if findings:
        return Verdict("needs-a-person", f"Needs a person: {findings[0].says}", findings)
    return Verdict("fine", FINE, [])


def _of_ledger(ledger: LedgerCounts, unaccounted: int | None, settings: Settings) -> Iterator[Finding]:
    if _silent(ledger.reconciler, settings):
        yield Finding(code="reconciler-silent", says="no full compare for too long: is the reconciler running?")
    if ledger.reconciler.alarm:
        says = "so many images are gone from Orthanc that nothing was marked deleted; is its storage mounted?"
        yield Finding(code="reconciler-alarm", says=says, command="examflow reconcile --full")
    for consumer in ledger.paused:
        says = f"{consumer.queue} is paused by {consumer.pausedBy}: {consumer.reason}"
        yield Finding(code="consumer-paused", says=says, command=f"examflow consumers resume {consumer.queue}")
    if unaccounted:
        says = f"{_images(unaccounted)} in Orthanc that nobody has decided about"
        yield Finding(code="unaccounted", says=says, command="examflow waiting list --state seen")
    dead = ledger.states["dead"]
    if dead:
        says = f"{_images(dead)} dead: the message about each failed for good"
        yield Finding(code="dead", says=says, command="examflow waiting list --state dead")
    if ledger.waitingLong:
        hours = settings.status.waiting_seconds / 3600
        says = f"{_images(ledger.waitingLong)} waiting for longer than {hours:g} h"
        yield Finding(code="waiting-long", says=says, command="examflow waiting list")
    if ledger.refusedLately:
        says = f"{_images(ledger.refusedLately)} refused of late"
        yield Finding(code="refused", says=says, command="examflow waiting list --state refused")
    unsent = ledger.oldestAnnouncement
    if unsent and unsent < datetime.now(UTC) - timedelta(seconds=settings.status.outbox_seconds):
        yield Finding(code="outbox", says=f"{ledger.outbox} announcements to other systems cannot be sent")


def _silent(state: ReconcilerState, settings: Settings) -> bool:
    """It has never begun, or a compare is overdue by as long as there may be between two."""
    every = settings.reconciler.compare_every_seconds
    since = state.lastFullCompare or state.compareWanted
    return since is None or since < datetime.now(UTC) - timedelta(seconds=2 * every)


def _of_queues(queues: Sequence[Queue], paused: set[str]) -> Iterator[Finding]:
    for queue in queues:
        if queue.messages is None:
            yield Finding(code="queue-missing", says=f"the queue {queue.queue} is not there: it must be declared again")
        elif queue.queue == DEAD_QUEUE and queue.messages:
            says = f"{queue.messages} messages are dead letters"
            yield Finding(code="dead-letters", says=says, command="examflow dead-letters list")
        elif queue.queue in WORK_QUEUES and not queue.consumers and queue.queue not in paused:
            yield Finding(code="not-consumed", says=f"nobody consumes from {queue.queue}: is registration ready?")


def _images(count: int) -> str:
    return f"{count} image is" if count == 1 else f"{count} images are"
