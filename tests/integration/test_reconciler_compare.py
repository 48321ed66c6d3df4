"""The full compare, the sweep and the gauges: what comes out that neither event nor change told."""

from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from deploy.local.system import System
from tests.integration import given, rows
from tests.integration.reconciling import Reconciling, as_uploaded, image, opened, own_database, parked


@pytest.fixture
async def reconciler(system: System, own_tables: str) -> AsyncIterator[Reconciling]:
    async with opened(system, own_tables, vanished_share=0.0) as reconciler:
        await reconciler.catch_up()
        yield reconciler


async def _execute(reconciler: Reconciling, command: str, **values: object) -> None:
    async with reconciler.database.transaction() as session:
        await session.execute(text(command), values)


async def _compare(reconciler: Reconciling) -> None:
    await _execute(reconciler, "UPDATE reconciler_cursor SET compare_wanted = now()")
    await reconciler.full_compare.compare_if_due()
    assert (await reconciler.cursor()).compare_wanted is None


def _gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_all_that_was_there_before_the_first_start_is_found(system: System, reconciler: Reconciling) -> None:
    ids = [reconciler.put(image()) for _ in range(12)]
    with own_database(system, "first") as name:
        async with opened(system, name, compare_page=7) as first:
            await first.catch_up()
            assert await first.missing(ids) == set()
            standing = await first.cursor()
            assert (standing.compare_wanted, standing.alarm) == (None, False)
            assert standing.last_full_compare is not None


async def test_a_cleared_feed_is_noticed_and_made_good(reconciler: Reconciling) -> None:
    exam = given.name()
    await given.open_exam(reconciler.database, exam, "user:alice")
    missed = [reconciler.put(image()) for _ in range(3)]
    reconciler.park(parked(as_uploaded(missed[0], exam)))
    reconciler.admin.delete("/changes").raise_for_status()
    await reconciler.run()
    assert await reconciler.missing(missed) == set()
    assert await reconciler.records(missed[0]) == [exam]

    later = reconciler.put(image())  # the feed goes on from its end
    reconciler.admin.delete("/changes").raise_for_status()
    await reconciler.run()
    again = reconciler.put(image())
    await reconciler.run()
    assert await reconciler.missing([later, again]) == set()


async def test_a_cleared_feed_that_has_rows_again_is_noticed(reconciler: Reconciling) -> None:
    missed = reconciler.put(image())
    reconciler.admin.delete("/changes").raise_for_status()
    later = reconciler.put(image())
    await reconciler.run()
    assert await reconciler.missing([missed, later]) == set()


@pytest.mark.parametrize(
    "restored",
    ["seq = seq + 1000", "change_id = 'another'", "change_date = '20200101T000000'", "change_type = 'NewStudy'"],
)
async def test_a_restored_index_is_noticed(reconciler: Reconciling, restored: str) -> None:
    reconciler.put(image())
    await reconciler.run()
    before = (await reconciler.cursor()).last_full_compare
    missed = reconciler.put(image())
    await reconciler.run()
    assert (await reconciler.cursor()).last_full_compare == before
    await _execute(reconciler, "DELETE FROM intake_ledger WHERE orthanc_id = :id", id=missed)
    await _execute(reconciler, f"UPDATE reconciler_cursor SET {restored}")
    await reconciler.run()
    standing = await reconciler.cursor()
    assert standing.last_full_compare != before
    assert await reconciler.missing([missed]) == set()
    await reconciler.run()
    assert (await reconciler.cursor()).last_full_compare == standing.last_full_compare  # once is enough


async def test_a_deleted_image_does_not_look_like_another_feed(reconciler: Reconciling) -> None:
    reconciler.put(image())
    newest = reconciler.put(image())
    await reconciler.run()
    before = (await reconciler.cursor()).last_full_compare
    reconciler.delete(newest)
    await reconciler.run()
    assert (await reconciler.cursor()).last_full_compare == before


async def test_deleted_in_orthanc_and_stored_again(reconciler: Reconciling) -> None:
    exam = given.name()
    await given.open_exam(reconciler.database, exam, "user:alice")
    content = image()
    orthanc_id = reconciler.put(content)
    await given.take(reconciler.database, as_uploaded(orthanc_id, exam))
    assert await reconciler.records(orthanc_id) == [exam]
    reconciler.delete(orthanc_id)
    await _compare(reconciler)
    entry = await reconciler.entry(orthanc_id)
    assert entry is not None
    assert (entry.state, entry.code, entry.reason) == ("deleted", "deleted", "the image was deleted in the PACS")
    assert await reconciler.records(orthanc_id) == [exam]  # the record stays

    assert reconciler.put(content) == orthanc_id
    await reconciler.run()
    entry = await reconciler.entry(orthanc_id)
    assert entry is not None
    assert (entry.state, entry.code) == ("registered", None)
    assert await reconciler.records(orthanc_id) == [exam]
    said = [(key, body["created"]) for key, body in await rows.said(reconciler.database, orthanc_id)]
    assert said == [("image.registered", True), ("image.registered", False)]


async def test_an_event_from_before_the_deletion_registers_nothing_that_is_gone(reconciler: Reconciling) -> None:
    exam, content = given.name(), image()
    await given.open_exam(reconciler.database, exam, "user:alice")
    orthanc_id = reconciler.put(content)
    await reconciler.run()
    reconciler.delete(orthanc_id)
    await _compare(reconciler)
    await given.take(reconciler.database, as_uploaded(orthanc_id, exam))  # it lay in the queue meanwhile
    assert await reconciler.records(orthanc_id) == []
    await reconciler.run()
    assert await reconciler.state(orthanc_id) == "deleted"

    reconciler.put(content)
    await given.take(reconciler.database, as_uploaded(orthanc_id, exam))
    await reconciler.run()
    assert await reconciler.records(orthanc_id) == [exam]  # it is there after all, and its exam was not forgotten


async def test_a_mass_of_vanished_images_is_an_alarm_and_no_change(reconciler: Reconciling) -> None:
    ghosts = [given.image(exam=given.name()) for _ in range(51)]
    for ghost in ghosts:
        await given.take(reconciler.database, ghost)
    ids = [ghost.orthanc_instance_id for ghost in ghosts]
    await _execute(reconciler, "UPDATE intake_ledger SET first_seen = now() - interval '1 hour'")
    await _compare(reconciler)
    await reconciler.gauges.refresh()
    assert {await reconciler.state(orthanc_id) for orthanc_id in ids} == {"waiting"}
    assert (await reconciler.cursor()).alarm
    assert _gauge("examflow_reconciler_alarm") == 1

    reconciler.settings.vanished_at_most = 51  # the operator says that it is so
    await _compare(reconciler)
    await reconciler.gauges.refresh()
    assert {await reconciler.state(orthanc_id) for orthanc_id in ids} == {"deleted"}
    assert not (await reconciler.cursor()).alarm
    assert _gauge("examflow_reconciler_alarm") == 0


async def test_it_is_done_on_schedule_and_sooner_after_an_alarm(reconciler: Reconciling) -> None:
    last = (await reconciler.cursor()).last_full_compare
    await reconciler.full_compare.compare_if_due()
    assert (await reconciler.cursor()).last_full_compare == last
    await _execute(
        reconciler, "UPDATE reconciler_cursor SET alarm = true, last_full_compare = now() - interval '11 min'"
    )
    await reconciler.full_compare.compare_if_due()
    second = (await reconciler.cursor()).last_full_compare
    assert second != last
    await _execute(reconciler, "UPDATE reconciler_cursor SET last_full_compare = now() - interval '25 hours'")
    await reconciler.full_compare.compare_if_due()
    assert (await reconciler.cursor()).last_full_compare not in (second, last)


async def test_the_sweep_registers_what_waits_for_an_open_exam_and_counts_it(reconciler: Reconciling) -> None:
    exam, accession, other = given.name(), given.name("A"), given.name()
    named, matched = given.image(exam=exam), given.image(accession_number=accession)
    foreign = given.image(exam=other)
    await given.open_exam(reconciler.database, other, "user:bob")
    for data in (named, matched, foreign):
        await given.take(reconciler.database, data)
    query = 'INSERT INTO examens_medicaux ("examenID", "accessionNumber", principals, version) VALUES (:e, :a, :p, 1)'
    await _execute(reconciler, query, e=exam, a=accession, p=["user:alice"])  # past the locks of an upsert
    before = _gauge("examflow_sweep_registered_total") or 0
    await reconciler.sweep.sweep()
    assert await reconciler.records(named.orthanc_instance_id) == [exam]
    assert await reconciler.records(matched.orthanc_instance_id) == [exam]
    assert await reconciler.state(foreign.orthanc_instance_id) == "waiting"
    assert _gauge("examflow_sweep_registered_total") == before + 2
    await reconciler.sweep.sweep()
    assert _gauge("examflow_sweep_registered_total") == before + 2


async def test_what_the_gauges_say(reconciler: Reconciling) -> None:
    await _execute(reconciler, "DELETE FROM images_medicales")
    await _execute(reconciler, "UPDATE intake_ledger SET state = 'refused'")
    await _execute(reconciler, "DELETE FROM outbox")
    await reconciler.gauges.refresh()
    assert _gauge("examflow_images_unaccounted") == 0
    assert _gauge("examflow_oldest_unregistered_seconds") == 0
    for age in ("1 minute", "3 hours", "4 hours", "8 days"):
        data = given.image(exam=given.name())
        await given.take(reconciler.database, data)
        aged = f"UPDATE intake_ledger SET first_seen = now() - interval '{age}' WHERE orthanc_id = :id"
        await _execute(reconciler, aged, id=data.orthanc_instance_id)
    seen = reconciler.put(image())
    await reconciler.following.read_on()
    await reconciler.gauges.refresh()
    assert _gauge("examflow_images_unaccounted") == 0  # not a minute old
    old = "UPDATE intake_ledger SET first_seen = now() - interval '2 minutes' WHERE orthanc_id = :id"
    await _execute(reconciler, old, id=seen)
    await reconciler.gauges.refresh()
    assert _gauge("examflow_images_unaccounted") == 1
    ages = [_gauge("examflow_images_waiting", age=age) for age in ("under-1h", "under-1d", "under-7d", "over-7d")]
    assert ages == [1, 2, 0, 1]
    assert 8 * 86400 <= (_gauge("examflow_oldest_unregistered_seconds") or 0) < 8 * 86400 + 60
    assert _gauge("examflow_outbox_depth") == 4


async def test_images_that_the_feed_has_and_the_ledger_not_yet_are_unaccounted(system: System, own_tables: str) -> None:
    async with opened(system, own_tables, unaccounted_seconds=0) as reconciler:
        await reconciler.run()
        await _execute(reconciler, "UPDATE intake_ledger SET state = 'refused' WHERE state = 'seen'")
        await reconciler.gauges.refresh()
        assert _gauge("examflow_images_unaccounted") == 0
        reconciler.settings.unaccounted_seconds = -5
        reconciler.put(image())
        await reconciler.gauges.refresh()
        assert _gauge("examflow_images_unaccounted") == 1
