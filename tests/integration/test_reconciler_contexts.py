"""Contexts that an upload parked on its image while the broker was away: merged, decided, taken off."""

from shared.events import Context
from tests.integration import given, rows
from tests.integration.reconciling import Reconciling, as_uploaded, image, parked


async def test_a_parked_context_registers_and_is_taken_off(reconciler: Reconciling) -> None:
    exam = given.name()
    await given.open_exam(reconciler.database, exam, "user:alice")
    orthanc_id = reconciler.put(image())
    data = as_uploaded(orthanc_id, exam, description="knee")
    reconciler.park(parked(data))
    await reconciler.run()
    assert await reconciler.records(orthanc_id) == [exam]
    [event] = reconciler.registration.about(orthanc_id)
    assert (event.data.origin.kind, event.data.origin.actor) == ("upload-recovered", "alice")
    assert event.data.context == Context(examen_id=exam, description="knee")
    assert event.correlationid == "corr-4711"
    entry = await reconciler.entry(orthanc_id)
    assert entry is not None
    assert (entry.uploaders, entry.origin["kind"], entry.parked) == (["alice"], "upload-recovered", False)
    assert not reconciler.parked(orthanc_id)


async def test_a_context_parked_on_a_waiting_image_registers_it(reconciler: Reconciling) -> None:
    exam = given.name()
    await given.open_exam(reconciler.database, exam, "user:alice")
    orthanc_id = reconciler.put(image())
    await reconciler.run()
    assert await reconciler.state(orthanc_id) == "waiting"
    reconciler.park(parked(as_uploaded(orthanc_id, exam)))
    await reconciler.run()
    assert await reconciler.records(orthanc_id) == [exam]
    assert not reconciler.parked(orthanc_id)


async def test_a_parked_context_that_must_wait_is_taken_off_too(reconciler: Reconciling) -> None:
    exam = given.name()
    orthanc_id = reconciler.put(image())
    reconciler.park(parked(as_uploaded(orthanc_id, exam)))
    await reconciler.run()
    assert await reconciler.state(orthanc_id) == "waiting"
    assert not reconciler.parked(orthanc_id)
    await given.open_exam(reconciler.database, exam, "user:alice")
    assert await reconciler.records(orthanc_id) == [exam]


async def test_a_second_context_of_a_registered_image_is_a_conflict(reconciler: Reconciling) -> None:
    first, second = given.name(), given.name()
    await given.open_exam(reconciler.database, first, "user:alice")
    orthanc_id = reconciler.put(image())
    data = as_uploaded(orthanc_id, first)
    await given.take(reconciler.database, data)
    reconciler.park(parked(as_uploaded(orthanc_id, second, by="bob")))
    await reconciler.run()
    await reconciler.run()
    entry = await reconciler.entry(orthanc_id)
    assert entry is not None
    assert (entry.state, entry.conflict_exam_id, entry.parked) == ("registered", second, False)
    assert await reconciler.records(orthanc_id) == [first]
    assert not reconciler.parked(orthanc_id)
    refused = [key for key, _ in await rows.said(reconciler.database, orthanc_id) if key == "image.refused"]
    assert refused == ["image.refused"]
    assert reconciler.registration.about(orthanc_id) == []


async def test_another_context_parked_since_is_not_taken_off_unread(reconciler: Reconciling) -> None:
    exam, other = given.name(), given.name()
    await given.open_exam(reconciler.database, exam, "user:alice")
    orthanc_id = reconciler.put(image())
    reconciler.park(parked(as_uploaded(orthanc_id, exam)))
    await reconciler.following.read_on()
    await reconciler.republishing.publish_due()
    reconciler.park(parked(as_uploaded(orthanc_id, other)))
    for _ in range(2):
        await reconciler.unparking.take_off()
    entry = await reconciler.entry(orthanc_id)
    assert entry is not None
    assert entry.conflict_exam_id == other
    assert not reconciler.parked(orthanc_id)


async def test_metadata_that_is_no_event_is_left_alone(reconciler: Reconciling) -> None:
    orthanc_id = reconciler.put(image())
    reconciler.admin.put(f"/instances/{orthanc_id}/metadata/1024", content="a note").raise_for_status()
    await reconciler.run()
    assert await reconciler.state(orthanc_id) == "waiting"
    assert reconciler.parked(orthanc_id)


async def test_a_second_context_before_the_first_is_decided_is_a_conflict_too(reconciler: Reconciling) -> None:
    first, second = given.name(), given.name()
    for exam in (first, second):
        await given.open_exam(reconciler.database, exam, "user:alice")
    orthanc_id = reconciler.put(image())
    reconciler.park(parked(as_uploaded(orthanc_id, first)))
    await reconciler.following.read_on()
    entry = await given.take(reconciler.database, as_uploaded(orthanc_id, second))
    assert (entry.state, entry.conflict_exam_id) == ("registered", second)
    assert await reconciler.records(orthanc_id) == [first]
    refused = [key for key, _ in await rows.said(reconciler.database, orthanc_id) if key == "image.refused"]
    assert refused == ["image.refused"]
