"""Versions decide the order of an exam's upserts; who may see it carries an epoch."""

import asyncio

from services.registration_service.database import Database
from services.registration_service.exams import version_now
from tests.integration import given, rows


async def test_an_exam_is_opened_and_replaced_as_a_whole(database: Database) -> None:
    exam = given.name()
    opened = await given.open_exam(
        database, exam, "user:alice", "group:a", accession_number="A-1", patient_id="P-1", version=5
    )
    assert opened.created
    found = await rows.exam(database, exam)
    assert (found.accession_number, found.patient_id, found.version) == ("A-1", "P-1", 5)
    assert (found.principals, found.rights_epoch) == (["user:alice", "group:a"], 1)
    replaced = await given.open_exam(database, exam, version=6)
    assert not replaced.created
    found = await rows.exam(database, exam)
    assert (found.accession_number, found.patient_id, found.principals, found.version) == (None, None, [], 6)


async def test_a_lower_or_equal_version_changes_nothing(database: Database) -> None:
    exam = given.name()
    await given.open_exam(database, exam, "user:alice", version=5)
    for version in (5, 4, 0):
        late = await given.open_exam(database, exam, "user:mallory", accession_number="late", version=version)
        assert not late.created
        assert late.exam.principals == ["user:alice"]
    found = await rows.exam(database, exam)
    assert (found.principals, found.accession_number, found.version) == (["user:alice"], None, 5)
    assert await rows.said(database, exam) == []
    assert await rows.audited(database, exam_id=exam) == [("his", "exam.upsert", "created")]


async def test_versions_in_any_order_at_once_end_with_the_highest(database: Database) -> None:
    exam = given.name()
    versions = [7, 3, 9, 1, 8, 2, 6, 9, 4, 5]
    made = await asyncio.gather(
        *(given.open_exam(database, exam, f"user:u{version}", version=version) for version in versions)
    )
    assert [upserted.created for upserted in made].count(True) == 1
    found = await rows.exam(database, exam)
    assert (found.version, found.principals) == (9, ["user:u9"])
    epochs = [said["epoch"] for _, said in await rows.said(database, exam)]
    assert epochs == list(range(2, found.rights_epoch + 1))


async def test_changed_principals_raise_the_epoch_and_are_told(database: Database) -> None:
    exam = given.name()
    await given.open_exam(database, exam, "user:alice", "user:bob", version=1)
    assert await rows.said(database, exam) == []
    await given.open_exam(database, exam, "user:alice", version=2)
    assert (await rows.exam(database, exam)).rights_epoch == 2
    assert await rows.said(database, exam) == [("exam.rights-changed", {"examenID": exam, "epoch": 2})]


async def test_the_same_principals_in_another_order_are_no_change(database: Database) -> None:
    exam = given.name()
    await given.open_exam(database, exam, "user:alice", "user:bob", version=1)
    await given.open_exam(database, exam, "user:bob", "user:alice", accession_number="A-2", version=2)
    found = await rows.exam(database, exam)
    assert (found.rights_epoch, found.accession_number) == (1, "A-2")
    assert await rows.said(database, exam) == []


async def test_the_largest_version_fits(database: Database) -> None:
    exam = given.name()
    await given.open_exam(database, exam, version=2**63 - 1)
    assert (await rows.exam(database, exam)).version == 2**63 - 1


def test_an_omitted_version_is_microseconds_since_1970() -> None:
    # 2026-01-01 and 2100-01-01 in microseconds.
    assert 1_767_225_600_000_000 < version_now() < 4_102_444_800_000_000
