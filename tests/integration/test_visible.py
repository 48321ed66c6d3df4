"""What somebody may see of all that is stored: image by image, the decision of shared/permission.py."""

import itertools
from typing import Any

import pytest
from sqlalchemy import update

from services.registration_service.database import Database
from services.registration_service.fate import describe_instance
from services.registration_service.intake import take_in
from services.registration_service.internal_schemas import VisibleImages, VisibleQuestion
from services.registration_service.models import LedgerEntry
from services.registration_service.visible import visible
from shared.events import DicomStored
from shared.permission import ALL_EXAMS, OPS, Caller, may_see_instance
from tests.dicom_files import fresh_uid
from tests.integration import given

CALLERS = [
    Caller("alice"),
    Caller("bob"),
    Caller("carol"),
    Caller("dave", groups=("ward", "lab")),
    Caller("erin", groups=("other",)),
    Caller("group:ward"),  # a subject that looks like a group
    Caller("alice", frozenset({"images:read"}), ("ward",)),
    Caller("olga", frozenset({ALL_EXAMS})),
    Caller("oscar", frozenset({OPS})),
    Caller("bob", frozenset({OPS})),
]


async def _seen(database: Database, caller: Caller, **asked: Any) -> VisibleImages:
    who = {"sub": caller.sub, "groups": caller.groups, "scopes": caller.scopes}
    question = VisibleQuestion.model_validate({"level": "instance", "most": 1000, **who, **asked})
    async with database.transaction() as session:
        return await visible(session, question)


async def _study(database: Database) -> tuple[str, list[DicomStored]]:
    """Images of one study in every state: in exams of different principals, and in none."""
    study = fresh_uid()
    exams = {
        principals: given.name() for principals in (("user:alice",), ("group:ward",), ("user:bob", "group:lab"), ())
    }
    images = []
    for (principals, exam), by in itertools.product(exams.items(), ("alice", "carol")):
        await given.open_exam(database, exam, *principals)
        images.append(given.image(by=by, exam=exam, study_instance_uid=study))
    images += [given.image(by=by, study_instance_uid=study) for by in ("alice", "bob", "dave")]
    for image in images:
        await given.take(database, image)
    return study, images


@pytest.mark.parametrize("caller", CALLERS, ids=repr)
async def test_it_is_what_permission_says_of_each_image(database: Database, caller: Caller) -> None:
    study, images = await _study(database)
    allowed = set()
    for image in images:
        async with database.transaction() as session:
            known = await describe_instance(session, image.orthanc_instance_id)
        if may_see_instance(caller, known.principals, known.uploaders):
            allowed.add(image.orthanc_instance_id)
    found = await _seen(database, caller, study=study)
    assert {image.orthancInstanceId for image in found.items} == allowed
    groups = await _seen(database, caller, study=study, level="study")
    assert [group.instanceCount for group in groups.items] == ([len(allowed)] if allowed else [])
    assert {group.orthancInstanceId for group in groups.items} <= allowed
    series = await _seen(database, caller, study=study, level="series")
    assert sum(group.instanceCount for group in series.items) == len(allowed)
    assert {group.orthancInstanceId for group in series.items} == allowed  # each image is a series of its own


async def test_a_study_is_told_of_as_far_as_it_may_be_seen(database: Database) -> None:
    study, series, exam, other = fresh_uid(), fresh_uid(), given.name(), given.name()
    await given.open_exam(database, exam, "user:alice")
    await given.open_exam(database, other, "user:bob")
    mine = [given.image(exam=exam, study_instance_uid=study, series_instance_uid=series) for _ in range(3)]
    mine.append(given.image(exam=exam, study_instance_uid=study, modality="MR"))
    for image in [*mine, given.image(by="bob", exam=other, study_instance_uid=study, modality="US")]:
        await given.take(database, image)
    (found,) = (await _seen(database, Caller("alice"), study=study, level="study")).items
    assert (found.instanceCount, found.seriesCount, sorted(found.modalities), found.examenID) == (
        4,
        2,
        ["CT", "MR"],
        exam,
    )
    by_series = (await _seen(database, Caller("alice"), study=study, level="series")).items
    assert {(one.seriesInstanceUID, one.instanceCount) for one in by_series} == {
        (series, 3),
        (mine[3].series_instance_uid, 1),
    }
    (both,) = (await _seen(database, CALLERS[7], study=study, level="study")).items
    assert (both.instanceCount, both.examenID) == (5, None), "they are of two exams"


async def test_of_all_the_newest_come_first_and_no_more_than_asked(database: Database) -> None:
    caller, exam = Caller(given.name("user")), given.name()
    await given.open_exam(database, exam, f"user:{caller.sub}")
    studies: list[str] = []
    for hour in range(3):
        image = given.image(by=caller.sub, exam=exam)
        async with database.transaction() as session:
            await take_in(session, image, given.HAPPENED.replace(hour=hour))
        studies.insert(0, image.study_instance_uid)
    all_of_them = await _seen(database, caller, level="study")
    assert ([one.studyInstanceUID for one in all_of_them.items], all_of_them.more) == (studies, False)
    some = await _seen(database, caller, level="study", most=2)
    assert ([one.studyInstanceUID for one in some.items], some.more) == (studies[:2], True)
    narrowed = await _seen(database, caller, series=all_of_them.items[1].seriesInstanceUID, study=studies[1])
    assert [one.studyInstanceUID for one in narrowed.items] == [studies[1]]


async def test_what_was_deleted_is_not_seen(database: Database) -> None:
    image = given.image()
    await given.take(database, image)
    study = image.study_instance_uid
    assert (await _seen(database, given.ALICE, study=study)).items
    async with database.transaction() as session:
        await session.execute(
            update(LedgerEntry).where(LedgerEntry.study_instance_uid == study).values(state="deleted")
        )
    assert not (await _seen(database, given.ALICE, study=study)).items
