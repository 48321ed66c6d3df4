"""The patterns that RabbitMQ is given for a partner."""

import re

import pytest

from services.operator.partner_rights import fits, may_be_called, permissions, topics


@pytest.mark.parametrize("name", ["his", "ris-2", "a1", "x" * 31])
def test_names_that_can_be(name: str) -> None:
    assert may_be_called(name)


@pytest.mark.parametrize(
    "name", ["", "a", "A", "1a", "-a", "a-", "a.b", "a b", "a/b", "his\n", "é" * 3, "x" * 32, "unknown"]
)
def test_names_that_cannot(name: str) -> None:
    assert not may_be_called(name)


@pytest.mark.parametrize(
    ("verb", "name", "allowed"),
    [
        ("write", "medical-images", True),
        ("write", "partner.his", True),
        ("read", "medical-images", True),
        ("read", "partner.his", True),
        ("read", "partner.his-2", False),
        ("read", "partnerxhis", False),
        ("write", "partner.his.x", False),
        ("write", "medical-images-2", False),
        ("write", "amq.default", False),
        ("configure", "partner.his", False),
        ("configure", "medical-images", False),
    ],
)
def test_what_it_may_touch(verb: str, name: str, allowed: bool) -> None:  # noqa: FBT001
    assert fits(permissions("his", ["dicom.stored"])[verb], name) is allowed


def test_who_publishes_nothing_writes_no_exchange() -> None:
    rights, allowed = permissions("his", []), topics([])
    assert not fits(rights["write"], "medical-images")
    assert not any(fits(allowed["write"], key) for key in ("", "dicom.stored", "exam.upserted"))


def test_the_patterns_are_anchored_and_take_a_dot_for_a_dot() -> None:
    write = topics(["dicom.stored", "exam.upserted"])["write"]
    assert [
        key for key in ("dicom.stored", "dicomxstored", "x.dicom.stored", "dicom.stored.x") if re.search(write, key)
    ] == ["dicom.stored"]
