"""The balance sees every loss: a lab that cannot turn red proves nothing."""

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos import balance, images
from tests.chaos.balance import Allowed, Balance
from tests.chaos.clients import Answer
from tests.chaos.facts import Entry, Facts, Message, Record, Stored

IMAGE, OTHER = images.fresh(2, exam="EX-1")
ONE = IMAGE.orthanc_id
STORED = Stored(IMAGE.sop_uid, IMAGE.digest)
RECORD = Record(IMAGE.sop_uid, "EX-1", ONE, IMAGE.description)
ENTRY = Entry("registered", wanted_exam="EX-1", uploaders=["alice"])
WAITING = Entry("waiting", "exam-unknown", "exam EX-1 is not open yet", "EX-1", uploaders=["alice"])
NEW = Message("event-1", "image.registered", ONE, {"created": True})
PROMISE = Answer(IMAGE, 201, 0.1, orthanc_id=ONE, sop_uid=IMAGE.sop_uid, store="Success", event="confirmed")
TOLD = Message("event-0", "dicom.stored", ONE)
AUDITED = {(IMAGE.sop_uid, "alice")}
KEPT = Facts([IMAGE], [PROMISE], {ONE: STORED}, [RECORD], {ONE: ENTRY}, {"EX-1": None}, (), [TOLD], [NEW], AUDITED)
NOT_REGISTERED: dict[str, Any] = {"records": (), "exams": {}, "announced": [Message("e", "image.waiting", ONE)]}


def _draw(allowed: Allowed = balance.NOTHING, **changes: Any) -> Balance:
    return balance.draw(replace(KEPT, **changes), allowed)


def test_a_kept_promise_holds() -> None:
    found = _draw()
    found.must_hold()
    assert found.sent == found.acknowledged == found.stored == found.registered == {ONE}


@pytest.mark.parametrize("audited", [set(), {(OTHER.sop_uid, "alice")}, {(IMAGE.sop_uid, "bob")}])
def test_an_upload_without_its_audit_record_is_seen(audited: set[tuple[str, str]]) -> None:
    with pytest.raises(AssertionError, match="1 unaudited"):
        _draw(audited=audited).must_hold()


def test_what_was_not_promised_may_be_missing() -> None:
    refused = Answer(IMAGE, 503, 0.1, "orthanc-away")
    _draw(answers=[refused], stored={}, records=(), ledger={}, told=(), announced=()).must_hold()


def test_waiting_with_a_reason_is_no_loss() -> None:
    found = _draw(ledger={ONE: WAITING}, **NOT_REGISTERED)
    found.must_hold()
    assert found.waiting == {ONE: "exam-unknown"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"stored": {}}, "not in Orthanc"),
        ({"stored": {ONE: Stored(IMAGE.sop_uid, "0" * 32)}}, "stored with other bytes"),
        ({"stored": {ONE: Stored(IMAGE.sop_uid, "")}}, "stored with other bytes"),
        ({"answers": [replace(PROMISE, sop_uid=OTHER.sop_uid)]}, "in the name of another image"),
        ({"records": ()}, "no record, and the state registered"),
        ({"records": (), "ledger": {}}, "no record, and no ledger row"),
        ({"records": [replace(RECORD, exam="EX-2")]}, "registered under EX-2, promised to EX-1"),
        ({"records": [replace(RECORD, description="")]}, "registered without its description"),
        ({"records": [replace(RECORD, orthanc_id=None)]}, "no record"),
        ({"records": [replace(RECORD, sop_uid=OTHER.sop_uid)]}, "another SOP Instance UID"),
        ({"ledger": {ONE: replace(ENTRY, uploaders=[])}}, "nobody knows who sent it"),
        ({"ledger": {ONE: replace(WAITING, reason=None)}, **NOT_REGISTERED}, "waiting without a reason"),
        ({"ledger": {ONE: replace(WAITING, wanted_exam=None)}, **NOT_REGISTERED}, "its exam was forgotten"),
        ({"ledger": {ONE: WAITING}, **NOT_REGISTERED, "exams": {"EX-1": None}}, "for an exam that is open"),
        ({"ledger": {ONE: replace(WAITING, state="seen")}, **NOT_REGISTERED}, "no record, and the state seen"),
    ],
)
def test_a_broken_promise_is_lost(changes: dict[str, Any], why: str) -> None:
    found = _draw(**changes)
    assert list(found.lost) == [ONE]
    assert why in found.lost[ONE]
    with pytest.raises(AssertionError, match="1 lost"):
        found.must_hold()


def test_an_accession_number_that_an_open_exam_has_does_not_wait() -> None:
    image = replace(IMAGE, exam=None, accession="A-1", bytes_kept=False)
    entry = Entry("waiting", "accession-unknown", "no exam has it yet", accession="A-1", uploaders=["alice"])
    changes = {"sent": [image], "answers": [replace(PROMISE, image=image)], "ledger": {ONE: entry}}
    _draw(**NOT_REGISTERED | changes).must_hold()
    assert _draw(**NOT_REGISTERED | changes | {"exams": {"EX-1": "A-1"}}).lost


@pytest.mark.parametrize(
    "changes",
    [
        {"records": [RECORD, RECORD]},
        {"records": [RECORD, replace(RECORD, orthanc_id="another instance")]},
        {"announced": [NEW, replace(NEW, event_id="event-2")]},
    ],
)
def test_a_double_is_counted(changes: dict[str, Any]) -> None:
    assert ONE in _draw(**changes).duplicated
    with pytest.raises(AssertionError, match="duplicated"):
        _draw(**changes).must_hold()


def test_the_same_announcement_sent_twice_is_harmless() -> None:
    _draw(announced=[NEW, NEW]).must_hold()


@pytest.mark.parametrize(
    "changes",
    [
        {"records": (), "ledger": {}},
        {"records": (), "ledger": {ONE: Entry("seen")}},
        {"records": ()},
        {"ledger": {ONE: WAITING}},
        {"ledger": {ONE: Entry("deleted")}},
    ],
)
def test_what_nobody_was_promised_must_be_accounted_for_as_well(changes: dict[str, Any]) -> None:
    found = _draw(answers=(), announced=(), **changes)
    assert list(found.unaccounted) == [ONE]
    assert not found.lost
    with pytest.raises(AssertionError, match="unaccounted"):
        found.must_hold()


def test_a_dead_letter_with_a_reason_is_visible() -> None:
    letter = Message("event-0", "registration.dead", ONE, reason="KeyError")
    found = _draw(Allowed(dead=True), records=(), ledger={}, announced=(), dead_letters=[letter])
    found.must_hold()
    assert found.dead == {ONE}


@pytest.mark.parametrize("orthanc_id", [ONE, None])
def test_a_dead_letter_that_the_row_does_not_expect_is_an_innocent(orthanc_id: str | None) -> None:
    letter = Message("event-0", "registration.dead", orthanc_id, reason="KeyError")
    with pytest.raises(AssertionError, match="innocent"):
        _draw(dead_letters=[letter]).must_hold()


def test_a_dead_letter_without_a_reason_shows_nothing() -> None:
    letter = Message("event-0", "registration.dead", ONE)
    assert _draw(Allowed(dead=True), records=(), announced=(), dead_letters=[letter]).lost


@pytest.mark.parametrize(("actor", "lost"), [("alice", False), ("bob", True), (None, True)])
def test_a_dead_row_forgets_nothing_that_its_letter_knows(actor: str | None, *, lost: bool) -> None:
    data = {"context": {"examenID": IMAGE.exam}, "origin": {"actor": actor}}
    letter = Message("event-0", "registration.dead", ONE, data, reason="KeyError")
    ledger = {ONE: Entry("dead", "dead-letter", "its message is a dead letter: KeyError")}
    found = _draw(Allowed(dead=True), records=(), ledger=ledger, announced=(), dead_letters=[letter])
    assert bool(found.lost) == lost


@pytest.mark.parametrize("kind", ["told", "ledger", "records"])
def test_words_about_what_is_not_there_are_false(kind: str) -> None:
    nothing: dict[str, Any] = {"answers": (), "stored": {}, "told": (), "ledger": {}, "records": (), "announced": ()}
    _draw(**nothing).must_hold()
    assert list(_draw(**nothing | {kind: getattr(KEPT, kind)}).false) == [ONE]


def test_an_image_that_nobody_sent_is_false() -> None:
    assert list(_draw(sent=(), answers=()).false) == [ONE]


def test_a_decision_that_was_never_announced_is_untold() -> None:
    assert list(_draw(announced=()).untold) == [ONE]
    assert list(_draw(announced=[replace(NEW, data={"created": False})]).untold) == [ONE]


def test_a_system_that_does_not_come_to_rest_fails() -> None:
    with pytest.raises(AssertionError, match="not done in time"):
        _draw(undone={"registration.dicom-stored.retry-1": 1}).must_hold()


def test_what_the_row_itself_took_away_is_listed_as_deleted() -> None:
    gone: dict[str, Any] = {"stored": {}, "ledger": {ONE: Entry("deleted")}}
    assert _draw(**gone).lost
    _draw(Allowed(deleted=frozenset({ONE})), **gone).must_hold()
    assert _draw(Allowed(deleted=frozenset({ONE})), stored={}).lost


def test_a_second_exam_must_be_told() -> None:
    second: dict[str, Any] = {"records": [replace(RECORD, exam="EX-2")]}
    conflict = {ONE: replace(ENTRY, conflict_exam="EX-1")}
    assert _draw(**second, ledger=conflict).lost
    assert _draw(Allowed(conflict=True), **second).lost
    _draw(Allowed(conflict=True), **second, ledger=conflict).must_hold()


def test_a_record_that_stood_before_its_file_was_announced_without_an_orthanc_id() -> None:
    early = Message("event-1", "image.registered", None, {"created": True, "sopInstanceUID": IMAGE.sop_uid})
    linked = Message("event-2", "image.registered", ONE, {"created": False})
    _draw(announced=[early, linked]).must_hold()
    assert ONE in _draw(announced=[early, replace(NEW, event_id="event-3")]).duplicated
    stranger = replace(early, data={"created": True, "sopInstanceUID": OTHER.sop_uid})
    assert list(_draw(announced=[stranger, linked]).untold) == [ONE]
