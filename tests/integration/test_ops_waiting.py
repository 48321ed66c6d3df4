"""The list of what is not registered, on a database of its own."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from deploy.local.system import System
from services.registration_service.database import Database
from services.registration_service.models import LedgerEntry
from services.registration_service.ops import assign, waiting
from services.registration_service.ops.schemas import WaitingPage
from shared.errors import InvalidInput
from shared.events import Context, DicomStored, Origin
from tests.integration import accounts, given
from tests.integration.reconciling import own_database


@pytest.fixture
def own_tables(system: System) -> Iterator[str]:
    with own_database(system, "waiting") as name:
        yield name


@pytest.fixture
async def own(system: System, own_tables: str) -> AsyncIterator[Database]:
    database = Database(accounts.database(system, own_tables))
    yield database
    await database.aclose()


async def _page(
    database: Database, state: str = "waiting", cause: str | None = None, limit: int = 50, cursor: str | None = None
) -> WaitingPage:
    async with database.transaction() as session:
        return await waiting.page(session, state, cause, limit, cursor)


async def _put(database: Database, data: DicomStored, **values: Any) -> None:
    async with database.transaction() as session:
        mine = LedgerEntry.orthanc_id == data.orthanc_instance_id
        await session.execute(update(LedgerEntry).where(mine).values(**values))


async def test_images_are_counted_by_cause_and_each_cause_filters(own: Database) -> None:
    open_exam, twice = given.name(), given.name("A")
    await given.open_exam(own, open_exam, "user:bob", accession_number="A-1")
    for _ in range(2):
        await given.open_exam(own, given.name(), accession_number=twice)
    images = [
        *(given.image(exam="EX-1") for _ in range(5)),
        *(given.image(exam="EX: 2") for _ in range(4)),
        *(given.image(accession_number="A-9") for _ in range(3)),
        *(given.image(accession_number="A-1") for _ in range(2)),
        given.image(exam=open_exam),
        given.image(accession_number=twice),
        given.image(),
    ]
    for data in images:
        await given.take(own, data)
    found = await _page(own)
    causes = {one.cause: one.count for one in found.causes}
    assert causes == {
        "exam-unknown:EX-1": 5, "exam-unknown:EX: 2": 4, "accession-unknown:A-9": 3, "not-a-principal:A-1": 2,
        f"not-a-principal:{open_exam}": 1, f"accession-ambiguous:{twice}": 1, "no-exam-named": 1,
    }  # fmt: skip
    assert [one.count for one in found.causes] == sorted(causes.values(), reverse=True)
    assert len(found.items) == len(images)
    for cause, count in causes.items():
        filtered = await _page(own, cause=cause)
        assert len(filtered.items) == count
        assert [(one.cause, one.count) for one in filtered.causes] == [(cause, count)]
    assert len((await _page(own, cause="not-a-principal")).items) == 3
    assert (await _page(own, cause="exam-unknown:")).items == []


async def test_every_image_comes_once_in_pages_the_first_to_come_at_the_top(own: Database) -> None:
    images = [given.image() for _ in range(7)]
    for number, data in enumerate(images):
        await given.take(own, data)
        # Three of them at the same moment: the id decides.
        await _put(own, data, first_seen=given.HAPPENED + timedelta(seconds=max(0, number - 2)))
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        found = await _page(own, limit=2, cursor=cursor)
        seen += [one.orthancInstanceId for one in found.items]
        cursor = found.next
    assert cursor is None
    same = sorted(data.orthanc_instance_id for data in images[:3])
    assert seen == [*same, *(data.orthanc_instance_id for data in images[3:])]
    with pytest.raises(InvalidInput):
        await _page(own, cursor="junk")


async def test_an_image_is_shown_with_all_that_an_operator_needs(own: Database) -> None:
    data = given.image(exam="EX-1", accession_number="A-1", description="P. Atient")
    await given.take(own, data)
    other = data.model_copy(update={"origin": Origin(kind="upload", actor="bob"), "context": Context(examen_id="EX-2")})
    await given.take(own, other)
    async with own.transaction() as session:
        await assign.assign(session, data.orthanc_instance_id, "EX-3", "olivia", "P. Atient")
    [item] = (await _page(own)).items
    assert item.model_dump(exclude={"received", "since"}) == {
        "orthancInstanceId": data.orthanc_instance_id, "sopInstanceUID": data.sop_instance_uid, "state": "waiting",
        "code": "exam-unknown", "reason": "exam EX-3 is not open yet", "examenID": "EX-3", "assignedBy": "olivia",
        "unlinkedFrom": [], "conflictExamenID": "EX-2", "accessionNumber": "A-1", "uploaders": ["alice", "bob"],
        "kind": "upload", "aet": None,
    }  # fmt: skip
    assert item.received == given.HAPPENED
    assert item.since > item.received


@pytest.mark.parametrize("state", ["refused", "dead", "seen"])
async def test_the_other_states_are_listed_by_themselves(own: Database, state: str) -> None:
    data = given.image()
    await given.take(own, given.image())
    await given.take(own, data)
    code = None if state == "seen" else "some-code"
    await _put(own, data, state=state, code=code, reason=code)
    found = await _page(own, state=state)
    assert [item.orthancInstanceId for item in found.items] == [data.orthanc_instance_id]
    assert [(one.state, one.cause, one.count) for one in found.causes] == [(state, code, 1)]


async def test_many_causes_are_cut_and_that_is_said(own: Database) -> None:
    for number in range(waiting.CAUSES_SHOWN + 1):
        await given.take(own, given.image(exam=f"EX-{number}"))
    found = await _page(own, limit=1)
    assert (len(found.causes), found.moreCauses) == (waiting.CAUSES_SHOWN, True)
