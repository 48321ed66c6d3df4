"""Images that nobody told of: how they come into the ledger, what is told of them, and when."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from deploy.local.system import System
from services.registration_service import recovered_event, republishing
from services.registration_service.by_http import HttpRegistrations
from services.registration_service.errors import EventOnItsWay
from services.registration_service.pacs import Found
from shared.errors import BrokerAway, OrthancNonsense
from shared.events import Context, DicomStored, Event, Origin
from shared.orthanc import Orthanc
from tests.integration import given, rows
from tests.integration.reconciling import Reconciling, as_uploaded, image, store_scu


async def test_a_c_store_registers_like_an_upload(system: System, reconciler: Reconciling) -> None:
    exam, accession = given.name(), given.name("A")
    await given.open_exam(reconciler.database, exam, "user:alice", accession_number=accession)
    content = image(accession)
    before = {*reconciler.admin.get("/instances").json()}
    store_scu(system, [content])
    [orthanc_id] = {*reconciler.admin.get("/instances").json()} - before
    await reconciler.run()
    assert await reconciler.records(orthanc_id) == [exam]
    [event] = reconciler.registration.about(orthanc_id)
    assert event.source == "/examflow/reconciler"
    assert event.data.origin == Origin(kind="modality", aet="STORESCU", remote_ip="127.0.0.1")
    assert event.data.context == Context()
    assert event.data.acquisition_date == datetime(1997, 4, 30, 16, 29, 36, tzinfo=UTC)
    assert (event.data.modality, event.data.accession_number) == ("CT", accession)
    assert event.data.sop_class_uid == "1.2.840.10008.5.1.4.1.1.2"
    stored = reconciler.admin.get(f"/instances/{orthanc_id}/file").content
    assert (event.data.size, event.data.digest) == (len(stored), hashlib.md5(stored).hexdigest())
    for field, path in (("series", "series"), ("study", "study"), ("patient", "patient")):
        told = getattr(event.data, f"orthanc_{field}_id")
        assert told == reconciler.admin.get(f"/instances/{orthanc_id}/{path}").json()["ID"]
    assert [actor for actor, *_ in await rows.audited(reconciler.database, exam_id=exam)] == ["his", "STORESCU"]


async def test_what_the_upload_service_stored_has_a_grace(system: System, reconciler: Reconciling) -> None:
    reconciler.admin.auth = ("upload", system.secrets.of("orthanc")["upload"])
    orthanc_id = reconciler.put(image())
    await reconciler.run()
    entry = await reconciler.entry(orthanc_id)
    assert entry is not None
    assert (entry.state, reconciler.registration.about(orthanc_id)) == ("seen", [])
    assert entry.publish_after is not None
    assert timedelta(seconds=25) < entry.publish_after - datetime.now(UTC) < timedelta(seconds=31)
    assert abs(datetime.now(UTC) - entry.first_seen) < timedelta(seconds=10)

    await reconciler.due_now(orthanc_id)
    await reconciler.republishing.publish_due()
    [event] = reconciler.registration.about(orthanc_id)
    assert (event.data.origin.kind, event.data.origin.actor) == ("upload-recovered", None)
    assert await reconciler.state(orthanc_id) == "waiting"


async def test_an_upload_of_which_nobody_knows_who_sent_it_goes_by_its_accession_number(
    reconciler: Reconciling,
) -> None:
    exam, accession = given.name(), given.name("A")
    await given.open_exam(reconciler.database, exam, "user:alice", accession_number=accession)
    orthanc_id = reconciler.put(image(accession))
    await reconciler.run()
    assert await reconciler.records(orthanc_id) == [exam]


async def test_an_uploads_own_event_says_whose_it_is_even_when_it_comes_last(reconciler: Reconciling) -> None:
    exam = given.name()
    await given.open_exam(reconciler.database, exam, "user:alice")
    orthanc_id = reconciler.put(image())
    await reconciler.run()
    assert await reconciler.state(orthanc_id) == "waiting"  # it names no exam
    await given.take(reconciler.database, as_uploaded(orthanc_id, exam))
    assert await reconciler.records(orthanc_id) == [exam]


async def test_pauses_grow_until_another_state_stands(reconciler: Reconciling) -> None:
    orthanc_id = reconciler.put(image())
    await reconciler.following.read_on()
    pauses = []
    reconciler.registration.publish = _swallow  # type: ignore[method-assign]
    for _ in range(7):
        await reconciler.due_now(orthanc_id)
        await reconciler.republishing.publish_due()
        entry = await reconciler.entry(orthanc_id)
        assert entry is not None
        assert entry.publish_after is not None
        pauses.append(round((entry.publish_after - datetime.now(UTC)).total_seconds() / 10) * 10)
    assert pauses == [30, 60, 300, 900, 3600, 3600, 3600]


async def _swallow(event: Event[DicomStored], *, mandatory: bool = True) -> None:
    """The broker confirms, and the consumers are away."""


async def test_while_the_broker_is_away_what_is_due_stays_due(reconciler: Reconciling) -> None:
    ids = [reconciler.put(image()) for _ in range(6)]
    await reconciler.following.read_on()
    reconciler.registration.away = True
    with pytest.raises(BrokerAway):
        await reconciler.republishing.publish_due()
    assert {await reconciler.state(orthanc_id) for orthanc_id in ids} == {"seen"}
    reconciler.registration.away = False
    await reconciler.republishing.publish_due()
    assert [len(reconciler.registration.about(orthanc_id)) for orthanc_id in ids] == [1] * 6


async def test_gone_before_it_was_told(reconciler: Reconciling) -> None:
    orthanc_id = reconciler.put(image())
    await reconciler.following.read_on()
    reconciler.delete(orthanc_id)
    await reconciler.republishing.publish_due()
    entry = await reconciler.entry(orthanc_id)
    assert entry is not None
    assert (entry.state, entry.code) == ("deleted", "deleted")
    assert reconciler.registration.about(orthanc_id) == []


@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
async def test_identifiers_that_fit_no_event_are_refused_in_words(reconciler: Reconciling) -> None:
    long = "1.2." + "3" * 70
    orthanc_id = reconciler.put(image(StudyInstanceUID=long))
    await reconciler.run()
    entry = await reconciler.entry(orthanc_id)
    assert entry is not None
    assert (entry.state, entry.code) == ("refused", "unusable-identifiers")
    assert entry.reason is not None
    assert "study" in entry.reason
    assert long not in entry.reason


async def test_a_row_that_came_by_another_door_has_the_grace(reconciler: Reconciling) -> None:
    orthanc_id = reconciler.put(image())
    await reconciler.following.read_on()
    async with reconciler.database.transaction() as session:
        await session.execute(
            text("UPDATE intake_ledger SET publish_after = NULL WHERE orthanc_id = :id"), {"id": orthanc_id}
        )
    await reconciler.republishing.publish_due()
    assert reconciler.registration.about(orthanc_id) == []
    entry = await reconciler.entry(orthanc_id)
    assert entry is not None
    assert entry.publish_after is not None
    assert entry.publish_after > datetime.now(UTC) + timedelta(seconds=20)


async def test_registration_by_http_waits_for_the_event_of_an_image_that_was_only_found(
    system: System, reconciler: Reconciling
) -> None:
    exam = given.name()
    await given.open_exam(reconciler.database, exam, "user:alice")
    reconciler.admin.auth = ("upload", system.secrets.of("orthanc")["upload"])
    orthanc_id = reconciler.put(image())
    await reconciler.following.read_on()
    entry = await reconciler.entry(orthanc_id)
    assert entry is not None
    names = {name: getattr(entry, f"{name}_instance_uid") for name in ("study", "series", "sop")}
    data = as_uploaded(orthanc_id, **{f"{name}_instance_uid": uid for name, uid in names.items()})
    http = HttpRegistrations(reconciler.database, reconciler.orthanc, 0.1)
    with pytest.raises(EventOnItsWay):
        await http.register(given.ALICE, given.asked(data, exam))
    await given.take(reconciler.database, data)
    assert (await http.register(given.ALICE, given.asked(data, exam))).created


async def test_one_image_that_cannot_be_told_holds_up_no_other(
    reconciler: Reconciling, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [reconciler.put(image()) for _ in range(9)]
    await reconciler.following.read_on()
    make = recovered_event.stored_event

    async def but_not_the_third(orthanc: Orthanc, found: Found, *others: Any) -> Any:
        if found.orthanc_id == ids[2]:
            raise OrthancNonsense(what="a file that cannot be read")
        return await make(orthanc, found, *others)

    monkeypatch.setattr(republishing, "stored_event", but_not_the_third)
    await reconciler.republishing.publish_due()
    states = [await reconciler.state(orthanc_id) for orthanc_id in ids]
    assert states == ["waiting", "waiting", "seen", *["waiting"] * 6]
    monkeypatch.undo()
    await reconciler.due_now(ids[2])
    await reconciler.republishing.publish_due()
    assert await reconciler.state(ids[2]) == "waiting"
