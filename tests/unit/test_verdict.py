"""What `examflow status` says of what the servers told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from services.registration_service.ops.schemas import Consumer, LedgerCounts, Queue, ReconcilerState, WhyAsked
from services.registration_service.ops.verdict import FINE, Verdict, verdict_of
from services.registration_service.settings import Settings
from tests.unit.settings import DATABASE, SHARED

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
SETTINGS = Settings.model_validate({**SHARED, "database": DATABASE, "internal_token": "secret"})
WELL = {"PostgreSQL": "ok", "RabbitMQ": "ok", "Orthanc": "ok"}
STATES = dict.fromkeys(("seen", "waiting", "registered", "refused", "dead", "deleted"), 0)
RECONCILER = ReconcilerState(cursor=1, lastFullCompare=NOW, compareWanted=None, alarm=False)
STORED, EXAMS, DEAD = "registration.dicom-stored", "registration.exam-upserted", "registration.dead"


def ledger(**changes: Any) -> LedgerCounts:
    values: dict[str, Any] = {
        "states": STATES, "causes": [], "moreCauses": False, "waitingLong": 0, "refusedLately": 0,
        "undecidedLate": 0, "oldestUndecided": None, "outbox": 0, "oldestAnnouncement": None, "paused": [],
        "reconciler": RECONCILER,
    }  # fmt: skip
    return LedgerCounts(**values | changes)


def queues(**changes: Queue) -> list[Queue]:
    there = {name: Queue(queue=name, messages=0, consumers=1) for name in (STORED, EXAMS)}
    there[DEAD] = Queue(queue=DEAD, messages=0, consumers=0)
    return list({**there, **{queue.queue: queue for queue in changes.values()}}.values())


def said(counts: LedgerCounts | None = None, missing: int | None = 0, **changes: Queue) -> Verdict:
    return verdict_of(WELL, counts or ledger(), queues(**changes), missing, SETTINGS)


def paused(queue: str) -> Consumer:
    who: dict[str, Any] = {"paused": True, "pausedBy": "olivia", "reason": "a bug", "since": NOW}
    return Consumer(queue=queue, messages=5, consumers=0, **who)


def test_all_is_well() -> None:
    found = said(ledger(states={**STATES, "waiting": 400, "refused": 3, "deleted": 7, "seen": 2}, outbox=5))
    assert (found.verdict, found.says, found.findings) == ("fine", FINE, [])


NEEDS: dict[str, tuple[Verdict, str, str | None]] = {
    "undecided": (said(missing=2), "2 images are in Orthanc", "examflow waiting list --state seen"),
    "dead": (said(ledger(states={**STATES, "dead": 1})), "1 image is dead", "examflow waiting list --state dead"),
    "waiting": (said(ledger(waitingLong=418)), "418 images are waiting for longer than 1 h", "examflow waiting list"),
    "refused": (said(ledger(refusedLately=1)), "1 image is refused", "examflow waiting list --state refused"),
    "letters": (
        said(dead=Queue(queue=DEAD, messages=3, consumers=0)),
        "3 messages are dead letters",
        "examflow dead-letters list",
    ),
    "paused": (
        said(ledger(paused=[paused(STORED)]), stored=Queue(queue=STORED, messages=5, consumers=0)),
        f"{STORED} is paused by olivia: a bug",
        f"examflow consumers resume {STORED}",
    ),
    "not consumed": (
        said(stored=Queue(queue=STORED, messages=5, consumers=0)),
        f"nobody consumes from {STORED}",
        None,
    ),
    "no queue": (said(stored=Queue(queue=STORED, messages=None, consumers=None)), f"{STORED} is not there", None),
    "alarm": (
        said(ledger(reconciler=RECONCILER.model_copy(update={"alarm": True}))),
        "so many images are gone",
        "examflow reconcile --full",
    ),
    "silent": (
        said(ledger(reconciler=RECONCILER.model_copy(update={"lastFullCompare": NOW - 3 * DAY}))),
        "is the reconciler running?",
        None,
    ),
    "never begun": (
        said(ledger(reconciler=RECONCILER.model_copy(update={"lastFullCompare": None}))),
        "is the reconciler running?",
        None,
    ),
    "outbox": (said(ledger(outbox=9, oldestAnnouncement=NOW - DAY)), "9 announcements", None),
}


@pytest.mark.parametrize(("found", "says", "command"), NEEDS.values(), ids=list(NEEDS))
def test_what_needs_a_person_is_said_with_the_command_that_shows_more(
    found: Verdict, says: str, command: str | None
) -> None:
    assert found.verdict == "needs-a-person"
    [finding] = found.findings
    assert says in finding.says
    assert finding.command == command
    assert found.says == f"Needs a person: {finding.says}"


def test_a_compare_that_is_owed_since_the_first_start_is_no_silence_yet() -> None:
    state = ReconcilerState(cursor=1, lastFullCompare=None, compareWanted=NOW, alarm=False)
    assert said(ledger(reconciler=state)).verdict == "fine"


def test_with_a_server_away_nothing_is_fine_and_nothing_known_is_left_out() -> None:
    away = {**WELL, "Orthanc": "no answer within 5 s"}
    found = verdict_of(away, ledger(waitingLong=1), queues(), None, SETTINGS)
    assert found.verdict == "cannot-tell"
    assert found.says == "Cannot tell whether anything is missing: no answer from Orthanc."
    assert [finding.says for finding in found.findings] == [
        "Orthanc: no answer within 5 s",
        "1 image is waiting for longer than 1 h",
    ]


def test_without_the_database_a_queue_may_well_be_paused() -> None:
    stopped = [Queue(queue=STORED, messages=5, consumers=0), Queue(queue=DEAD, messages=1, consumers=0)]
    found = verdict_of({**WELL, "PostgreSQL": "does not answer"}, None, stopped, None, SETTINGS)
    assert found.verdict == "cannot-tell"
    assert [finding.code for finding in found.findings] == ["server-away", "dead-letters"]


@pytest.mark.parametrize("reason", ["", "   ", "two\nlines", "x" * 501, "nul\0"])
def test_a_reason_is_one_line_with_something_in_it(reason: str) -> None:
    with pytest.raises(ValidationError):
        WhyAsked(reason=reason)
