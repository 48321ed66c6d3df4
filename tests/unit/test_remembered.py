"""What preview keeps of registration's answers: what is kept, for how long, and what makes it void."""

from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError

from services.preview_service.remembered import Known, Remembered
from services.preview_service.settings import RegistrationSettings

QUESTION = "/internal/instances/i-1"
DEFAULTS: dict[str, Any] = {"url": "http://registration", "token": "secret"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def known(exam: str | None = "EX-1", epoch: int | None = 1, state: str = "registered", **changes: Any) -> Known:
    answer: dict[str, Any] = {
        "orthancInstanceId": "i-1",
        "studyInstanceUID": "1",
        "seriesInstanceUID": "1.1",
        "sopInstanceUID": "1.2",
        "state": state,
        "examenID": exam,
        "principals": ["user:alice"] if exam else None,
        "uploaders": ["alice"],
        "digest": None,
        "modality": None,
        "epoch": epoch if exam else None,
    }
    return Known.model_validate(answer | changes)


def remembered(clock: Clock | None = None, **settings: Any) -> Remembered:
    return Remembered(RegistrationSettings.model_validate(DEFAULTS | settings), clock or Clock())


def keep(kept: Remembered, question: str = QUESTION, answer: Known | None = None) -> None:
    kept.keep(question, answer or known(), kept.asked())


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


def test_an_answer_holds_until_its_time_is_up() -> None:
    clock = Clock()
    kept = remembered(clock, remembered_seconds=30)
    keep(kept)
    hits, misses = metric("examflow_rights_hits_total"), metric("examflow_rights_misses_total")
    clock.now += 29.9
    assert kept.find(QUESTION) == known()
    clock.now += 0.1
    assert kept.find(QUESTION) is None
    assert (metric("examflow_rights_hits_total"), metric("examflow_rights_misses_total")) == (hits + 1, misses + 1)


def test_its_time_counts_from_the_question() -> None:
    clock = Clock()
    kept = remembered(clock, remembered_seconds=30)
    asked = kept.asked()
    clock.now += 4
    kept.keep(QUESTION, known(), asked)
    clock.now += 26
    assert kept.find(QUESTION) is None


@pytest.mark.parametrize("seconds", [30.1, 60, -1])
def test_nothing_is_kept_for_longer_than_promised(seconds: float) -> None:
    with pytest.raises(ValidationError, match="remembered_seconds"):
        remembered(remembered_seconds=seconds)


def test_by_default_it_is_kept_for_as_long_as_promised() -> None:
    settings = RegistrationSettings.model_validate(DEFAULTS)
    assert (settings.remembered, settings.remembered_seconds) == (10_000, 30)


@pytest.mark.parametrize(
    "answer",
    [
        known(exam=None),
        known(exam=None, state="waiting"),
        known(state="deleted"),
        known(state="seen"),
        known(principals=None),
    ],
)
def test_only_what_is_registered_is_kept(answer: Known) -> None:
    kept = remembered()
    keep(kept, answer=answer)
    assert kept.find(QUESTION) is None


def test_an_image_that_is_registered_no_more_is_not_kept_either() -> None:
    clock = Clock()
    kept = remembered(clock)
    keep(kept)
    keep(kept, answer=known(state="deleted"))
    assert kept.find(QUESTION) is None


def test_the_least_used_goes_first() -> None:
    kept = remembered(remembered=2)
    for question in ("a", "b"):
        keep(kept, question)
    kept.find("a")
    keep(kept, "c")
    assert [kept.find(question) is not None for question in ("a", "b", "c")] == [True, False, True]
    assert metric("examflow_rights_remembered") == 2


def test_without_room_nothing_is_kept() -> None:
    kept = remembered(remembered=0)
    keep(kept)
    assert kept.find(QUESTION) is None


def test_an_answer_with_long_names_is_not_kept() -> None:
    kept = remembered(remembered_characters=500)
    keep(kept, "short", known(principals=["user:" + "a" * 490], uploaders=["alice"]))
    keep(kept, "long", known(principals=["user:" + "a" * 490], uploaders=["alice1"]))
    assert kept.find("short")
    assert kept.find("long") is None


def test_a_change_of_rights_voids_the_exams_answers_and_no_others() -> None:
    kept = remembered()
    for question, exam in (("a", "EX-1"), ("b", "EX-1"), ("c", "EX-2")):
        keep(kept, question, known(exam))
    kept.void("EX-1", 2)
    assert [kept.find(question) is not None for question in ("a", "b", "c")] == [False, False, True]
    assert metric("examflow_rights_remembered") == 1


def test_a_change_that_is_told_again_or_late_voids_nothing_newer() -> None:
    kept = remembered()
    kept.void("EX-1", 5)
    keep(kept, answer=known(epoch=5))
    for epoch in (5, 4, 1):
        kept.void("EX-1", epoch)
        assert kept.find(QUESTION)
    assert kept.is_outdated(known(epoch=4))  # the late word did not take back the newer one


@pytest.mark.parametrize(("epoch", "outdated"), [(4, True), (5, False), (6, False)])
def test_an_answer_of_before_a_change_is_outdated(epoch: int, *, outdated: bool) -> None:
    kept = remembered()
    assert not kept.is_outdated(known(epoch=epoch))
    kept.void("EX-1", 5)
    assert kept.is_outdated(known(epoch=epoch)) is outdated
    assert not kept.is_outdated(known("EX-2", epoch))
    assert not kept.is_outdated(known(exam=None))


def test_what_was_told_is_forgotten_when_no_answer_can_be_on_its_way_any_more() -> None:
    clock = Clock()
    kept = remembered(clock, told_seconds=60)
    kept.void("EX-1", 5)
    clock.now += 59
    assert kept.is_outdated(known(epoch=4))
    clock.now += 1
    assert not kept.is_outdated(known(epoch=4))  # a database that was put back to yesterday's has lower epochs


def test_what_was_told_is_bounded() -> None:
    kept = remembered(told=2)
    for exam in ("EX-1", "EX-2", "EX-1", "EX-3"):
        kept.void(exam, 5)
    outdated = [kept.is_outdated(known(exam, 4)) for exam in ("EX-1", "EX-2", "EX-3")]
    assert outdated == [True, False, True]


def test_a_lost_connection_forgets_all_and_what_is_on_its_way() -> None:
    kept = remembered()
    keep(kept)
    asked = kept.asked()
    kept.empty()
    kept.keep("b", known(), asked)
    assert kept.find(QUESTION) is None
    assert kept.find("b") is None
    assert metric("examflow_rights_remembered") == 0
    keep(kept, "c")
    assert kept.find("c")
    kept.void("EX-1", 2)
    assert kept.find("c") is None
