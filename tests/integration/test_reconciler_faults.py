"""The reconciler ended between any two of its steps, and two of them at once: nothing missed, nothing doubled."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from deploy.local.system import System
from services.registration_service import arrivals, changes, cursor, feed, pacs, republishing, vanished
from services.registration_service.models import LedgerEntry
from shared.orthanc import Orthanc
from tests.integration import given
from tests.integration.reconciling import Reconciling, Registration, as_uploaded, image, opened, parked


class Killed(BaseException):
    """No handler of ours may catch it, as none catches a SIGKILL."""


@pytest.fixture
async def second(system: System, own_tables: str, reconciler: Reconciling) -> AsyncIterator[Reconciling]:
    """Another process on the same tables."""
    async with opened(system, own_tables) as second:
        yield second


def _killed_before(monkeypatch: pytest.MonkeyPatch, where: object, step: str) -> None:
    async def die(*_: Any, **__: Any) -> None:
        raise Killed

    monkeypatch.setattr(where, step, die)


def _killed_after(monkeypatch: pytest.MonkeyPatch, where: object, step: str) -> None:
    whole = getattr(where, step)

    async def die(*args: Any, **others: Any) -> None:
        await whole(*args, **others)
        raise Killed

    monkeypatch.setattr(where, step, die)


@pytest.mark.parametrize("kill", [_killed_before, _killed_after])
@pytest.mark.parametrize(
    ("where", "step"),
    [
        (changes, "find_instances"),
        (cursor, "leads"),
        (cursor, "standing"),
        (arrivals, "note"),
        (arrivals, "merge"),
        (changes.Following, "_note"),
        (republishing.Republishing, "_claim"),
        (republishing, "find_instances"),
        (republishing, "stored_event"),
        (Registration, "publish"),
        (Orthanc, "delete_metadata"),
    ],
)
async def test_killed_at_any_point(
    reconciler: Reconciling, second: Reconciling, monkeypatch: pytest.MonkeyPatch, kill: Any, where: Any, step: str
) -> None:
    exam, accession = given.name(), given.name("A")
    await given.open_exam(reconciler.database, exam, "user:alice", accession_number=accession)
    plain = [reconciler.put(image()) for _ in range(4)]
    context = reconciler.put(image())
    reconciler.park(parked(as_uploaded(context, exam)))
    with monkeypatch.context() as patch:
        kill(patch, where, step)
        with pytest.raises(Killed):
            await reconciler.run()
    await _pauses_are_over(second)
    await second.run()
    await _pauses_are_over(second)
    await second.run()
    assert await second.records(context) == [exam]
    assert [await second.state(orthanc_id) for orthanc_id in plain] == ["waiting"] * 4
    assert not second.parked(context)
    entry = await second.entry(context)
    assert entry is not None
    assert not entry.parked


async def _pauses_are_over(reconciler: Reconciling) -> None:
    async with reconciler.database.transaction() as session:
        seen = list(await session.scalars(select(LedgerEntry.orthanc_id).where(LedgerEntry.state == "seen")))
    await reconciler.due_now(*seen)


async def test_two_at_once_note_and_tell_each_image_once(reconciler: Reconciling, second: Reconciling) -> None:
    ids = [reconciler.put(image()) for _ in range(30)]

    async def work(one: Reconciling) -> None:
        for _ in range(20):
            await one.following.read_on()
            await one.republishing.publish_due()

    await asyncio.gather(work(reconciler), work(second))
    assert await reconciler.missing(ids) == set()
    told = [*reconciler.registration.events, *second.registration.events]
    assert sorted(event.subject for event in told if event.subject in ids) == sorted(ids)
    assert {await reconciler.state(orthanc_id) for orthanc_id in ids} == {"waiting"}


async def test_while_another_leads_nothing_moves(reconciler: Reconciling, second: Reconciling) -> None:
    orthanc_id = reconciler.put(image())
    async with second.database.transaction() as leader:
        assert await cursor.leads(leader)
        await reconciler.following.read_on()
        assert await reconciler.state(orthanc_id) is None
    await reconciler.following.read_on()
    assert await reconciler.state(orthanc_id) == "seen"


async def test_a_page_of_a_cursor_that_moved_meanwhile_changes_nothing(
    reconciler: Reconciling, second: Reconciling, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconciler.put(image())
    find = pacs.find_instances

    async def while_the_other_reads_on(*args: Any) -> Any:
        found = await find(*args)
        monkeypatch.setattr(changes, "find_instances", find)
        await second.following.read_on()
        return found

    monkeypatch.setattr(changes, "find_instances", while_the_other_reads_on)
    assert await reconciler.following._read_page() is False
    assert (await reconciler.cursor()).seq == (await second.cursor()).seq


async def test_stored_again_while_it_is_being_noted_as_deleted(
    reconciler: Reconciling, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = image()
    orthanc_id = reconciler.put(content)
    await reconciler.run()
    reconciler.delete(orthanc_id)
    ask = pacs.really_gone

    async def then_stored_again(*args: Any) -> Any:
        gone = await ask(*args)
        monkeypatch.setattr(vanished, "really_gone", ask)
        reconciler.put(content)
        return gone

    monkeypatch.setattr(vanished, "really_gone", then_stored_again)
    await vanished.settle_vanished(reconciler.database, reconciler.orthanc, [orthanc_id])
    assert await reconciler.state(orthanc_id) == "seen"


async def test_a_row_of_the_feed_that_appears_late_is_read(
    reconciler: Reconciling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over PostgreSQL a lower Seq can appear after a higher one."""
    late, early = reconciler.put(image()), reconciler.put(image())

    async def without_the_late(*args: Any) -> Any:
        return [change for change in await pages(*args) if change.resource_id != late]

    pages = feed.changes
    with monkeypatch.context() as patch:
        patch.setattr(feed, "changes", without_the_late)
        await reconciler.following.read_on()
    assert (await reconciler.state(late), await reconciler.state(early)) == (None, "seen")
    await reconciler.following.read_on()
    assert await reconciler.state(late) == "seen"


async def test_an_image_that_comes_while_the_end_is_looked_for_makes_no_other_feed(
    reconciler: Reconciling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no row stood at the end, the empty page and the end are two questions."""
    orthanc, look = reconciler.orthanc, feed.end

    async def after_one_has_come(orthanc: Orthanc) -> feed.Place:
        reconciler.put(image())
        return await look(orthanc)

    read_to = feed.Place((await look(orthanc)).seq, None)
    assert not await feed.is_the_same(orthanc, feed.Place(read_to.seq + 1000, None), [])
    monkeypatch.setattr(feed, "end", after_one_has_come)
    assert await feed.is_the_same(orthanc, read_to, [])
