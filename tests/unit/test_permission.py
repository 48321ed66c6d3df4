"""Who may see what: one table for each question."""

import pytest

from shared.permission import Caller, may_follow_instance, may_see_exam, may_see_instance, may_see_unregistered

ALICE = Caller("alice", frozenset({"images:read"}))
RADIOLOGIST = Caller("bob", frozenset({"images:read"}), ("radiology", "ward 3"))
OVERSEER = Caller("olga", frozenset({"exams:all"}))
OPERATOR = Caller("otto", frozenset({"ops"}))
NAMED_LIKE_A_GROUP = Caller("group:radiology", groups=("user:alice",))
NOBODY = Caller("")


@pytest.mark.parametrize(
    ("caller", "principals", "may"),
    [
        (ALICE, ["user:alice"], True),
        (ALICE, ["user:bob", "user:alice"], True),
        (ALICE, ["user:alice2"], False),
        (ALICE, ["user:Alice"], False),
        (ALICE, ["group:alice"], False),
        (ALICE, ["alice"], False),
        (ALICE, [], False),
        (RADIOLOGIST, ["group:radiology"], True),
        (RADIOLOGIST, ["group:ward 3"], True),
        (RADIOLOGIST, ["user:radiology"], False),
        (RADIOLOGIST, ["group:ward"], False),
        (RADIOLOGIST, ["user:bob"], True),
        (OVERSEER, [], True),
        (OVERSEER, ["user:alice"], True),
        (OPERATOR, [], False),
        (OPERATOR, ["user:alice"], False),
        (NAMED_LIKE_A_GROUP, ["group:radiology", "user:alice"], False),
        (NOBODY, ["user:", "group:"], True),
        (NOBODY, [""], False),
    ],
)
def test_an_exam(caller: Caller, principals: list[str], *, may: bool) -> None:
    assert may_see_exam(caller, principals) is may
    assert may_see_instance(caller, principals, uploaders=[]) is may


@pytest.mark.parametrize(
    ("caller", "uploaders", "may"),
    [
        (ALICE, ["alice"], True),
        (ALICE, ["bob", "alice"], True),
        (ALICE, [], False),
        (ALICE, ["user:alice", "alice2"], False),
        (OVERSEER, [], True),
        (OPERATOR, [], True),
    ],
)
def test_an_image_that_is_not_registered(caller: Caller, uploaders: list[str], *, may: bool) -> None:
    assert may_see_unregistered(caller, uploaders) is may
    assert may_see_instance(caller, None, uploaders) is may


@pytest.mark.parametrize(
    ("caller", "principals", "may"),
    [(ALICE, ["user:bob"], False), (ALICE, [], False), (OPERATOR, ["user:bob"], False), (OVERSEER, [], True)],
)
def test_once_registered_the_exam_decides_and_not_the_upload(
    caller: Caller, principals: list[str], *, may: bool
) -> None:
    assert may_see_instance(caller, principals, uploaders=["alice", "otto"]) is may


@pytest.mark.parametrize(
    ("scope", "has"), [("images:read", True), ("images", False), ("", False), ("IMAGES:READ", False)]
)
def test_a_scope_is_there_as_it_is_written(scope: str, *, has: bool) -> None:
    assert ALICE.has(scope) is has


@pytest.mark.parametrize(
    ("caller", "principals", "may"),
    [
        (ALICE, ["user:bob"], True),
        (ALICE, None, True),
        (OPERATOR, None, True),
        (OPERATOR, ["user:bob"], False),
        (RADIOLOGIST, ["group:radiology"], True),
        (RADIOLOGIST, None, False),
        (OVERSEER, ["user:bob"], True),
    ],
)
def test_what_became_of_an_image_its_uploader_may_ask_too(
    caller: Caller, principals: list[str] | None, *, may: bool
) -> None:
    assert may_follow_instance(caller, principals, uploaders=["alice"]) is may
