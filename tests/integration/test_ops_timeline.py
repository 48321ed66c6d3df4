"""What happened to one image, told from a database of its own and the real Orthanc."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, func, update

from deploy.local.system import System
from services.registration_service.models import LedgerEntry, OutboxMessage, PausedConsumer
from services.registration_service.ops import assign, correct
from services.registration_service.ops.desk import Desk
from services.registration_service.ops.errors import NotInLedger, SeveralImages
from services.registration_service.ops.schemas import Hop, Timeline
from services.registration_service.ops.timeline import read_timeline
from shared.events import Context, DicomStored, Origin
from tests import dicom_files
from tests.integration import desks, given

STORED = "registration.dicom-stored"


@pytest.fixture
async def desk(system: System, own_tables: str) -> AsyncIterator[Desk]:
    async with desks.opened(system, own_tables) as desk:
        yield desk


@pytest.fixture
def orthanc_id(system: System) -> str:
    """An image in Orthanc that is in no ledger of ours."""
    auth = ("admin", system.secrets.of("orthanc")["admin"])
    with httpx.Client(base_url=f"http://{system.backing.orthanc}", auth=auth, trust_env=False) as admin:
        return str(admin.post("/instances", content=dicom_files.fresh("CT_small.dcm")).json()["ID"])


async def _put(desk: Desk, data: DicomStored, **values: Any) -> None:
    async with desk.database.transaction() as session:
        mine = LedgerEntry.orthanc_id == data.orthanc_instance_id
        await session.execute(update(LedgerEntry).where(mine).values(**values))


def _hops(found: Timeline) -> dict[str, Hop]:
    return {hop.hop: hop for hop in found.hops}


async def test_every_hop_of_an_image_that_made_it(desk: Desk, orthanc_id: str) -> None:
    exam = given.name()
    await given.open_exam(desk.database, exam, "user:alice")
    data = given.image(exam=exam, orthanc_instance_id=orthanc_id)
    await given.take(desk.database, data)
    found = await read_timeline(desk, data.sop_instance_uid)
    hops = _hops(found)
    assert list(hops) == ["received", "stored", "event", "decided", "registered", "announced"]
    assert [hop.state for hop in found.hops] == [*["done"] * 5, "pending"]
    assert hops["received"].says == "by upload from alice"
    assert hops["received"].at == given.HAPPENED
    assert hops["stored"].says.startswith("in Orthanc, 39206 bytes, MD5 ")
    assert f"its event said {data.digest}" in hops["stored"].says
    assert hops["event"].says == "dicom.stored consumed once"
    assert hops["registered"].says == f"exam {exam}, imageID {found.imageID}, by event"
    assert hops["announced"].says == "1 announcement is not sent yet"
    assert all(hops[name].at for name in ("stored", "event", "decided", "registered"))
    assert (found.state, found.examenID, found.next) == ("registered", exam, None)
    assert [(act.actor, act.action, act.examenID) for act in found.acts] == [("alice", "image.register", exam)]


async def test_by_its_image_id_and_sent(desk: Desk) -> None:
    exam, data = given.name(), given.image()
    await given.open_exam(desk.database, exam)
    await given.take(desk.database, data)
    async with desk.database.transaction() as session:
        done = await assign.assign(session, data.orthanc_instance_id, exam, "olivia", "phoned")
        await session.execute(delete(OutboxMessage))
    assert done.image is not None
    found = await read_timeline(desk, done.image.image_id)
    assert found.orthancInstanceId == data.orthanc_instance_id
    assert _hops(found)["announced"].state == "done"
    assert found.acts[-1].reason == "phoned"


ORIGINS = {
    "by C-STORE from CT1": Origin(kind="modality", aet="CT1"),
    "told by partner ris": Origin(kind="partner", actor="ris"),
    "by upload, recovered by the reconciler from bob": Origin(kind="upload-recovered", actor="bob"),
}


@pytest.mark.parametrize(("says", "origin"), ORIGINS.items())
async def test_who_brought_it(desk: Desk, says: str, origin: Origin) -> None:
    data = given.image(origin=origin)
    await given.take(desk.database, data)
    assert _hops(await read_timeline(desk, data.orthanc_instance_id))["received"].says == says
    for second in (Origin(kind="upload-recovered"), Origin(kind="upload", actor="carol")):  # the first is nobody
        await given.take(desk.database, data.model_copy(update={"origin": second}))
    again = _hops(await read_timeline(desk, data.orthanc_instance_id))
    assert again["received"].says == f"{says}, and equal bytes from 1 more"
    assert again["event"].says == "dicom.stored consumed 3 times"


async def test_what_is_not_in_orthanc_any_more_is_said(desk: Desk) -> None:
    data = given.image()
    await given.take(desk.database, data)
    stored = _hops(await read_timeline(desk, data.orthanc_instance_id))["stored"]
    assert (stored.state, stored.says) == ("failed", "not in Orthanc any more")


async def test_with_orthanc_away_the_rest_is_told(system: System, own_tables: str, desk: Desk) -> None:
    data = given.image()
    await given.take(desk.database, data)
    async with desks.opened(system, own_tables, away="orthanc") as away:
        stored = _hops(await read_timeline(away, data.orthanc_instance_id))["stored"]
        assert (stored.state, stored.says) == ("unknown", "Orthanc does not answer")
        with pytest.raises(NotInLedger, match="Orthanc does not answer, so whether it is stored is not known"):
            await read_timeline(away, "1.2.3")


async def test_an_id_that_the_ledger_does_not_know(desk: Desk, orthanc_id: str) -> None:
    with pytest.raises(NotInLedger, match="it is in Orthanc, and the reconciler brings it in"):
        await read_timeline(desk, orthanc_id)
    uid = (await desk.orthanc.read(f"/instances/{orthanc_id}") or {})["MainDicomTags"]["SOPInstanceUID"]
    with pytest.raises(NotInLedger, match="it is in Orthanc, and the reconciler brings it in"):
        await read_timeline(desk, uid)
    with pytest.raises(NotInLedger, match="not in Orthanc either"):
        await read_timeline(desk, "1.2.3.4.5")


async def test_of_several_with_one_uid_one_is_to_be_named(desk: Desk) -> None:
    data = given.image()
    twin = given.image(sop_instance_uid=data.sop_instance_uid)
    for each in (data, twin):
        await given.take(desk.database, each)
    with pytest.raises(SeveralImages, match=twin.orthanc_instance_id):
        await read_timeline(desk, data.sop_instance_uid)
    await _put(desk, twin, state="deleted")
    assert (await read_timeline(desk, data.sop_instance_uid)).orthancInstanceId == data.orthanc_instance_id


async def test_an_image_that_waits_says_for_what_and_what_to_type(desk: Desk) -> None:
    data = given.image(exam="EX-0")
    await given.take(desk.database, data)
    found = await read_timeline(desk, data.orthanc_instance_id)
    decided = _hops(found)["decided"]
    assert (decided.state, decided.says) == ("pending", "waiting (exam-unknown): exam EX-0 is not open yet")
    assert _hops(found)["registered"].says == "no image record"
    assert found.next is not None
    assert found.next.command == f"examflow waiting assign {data.orthanc_instance_id} --exam EXAM --reason '...'"


async def test_an_image_whose_event_never_came(desk: Desk) -> None:
    data = given.image()
    await given.take(desk.database, data)
    undecided = {"state": "seen", "code": None, "reason": None, "event_at": None, "attempts": 0}
    await _put(desk, data, **undecided, publishes=3, publish_after=given.HAPPENED, parked=True, origin={}, origins=[])
    found = await read_timeline(desk, data.orthanc_instance_id)
    hops = _hops(found)
    assert hops["received"].says == "who brought it is told by its event"
    assert hops["event"].state == "pending"
    assert hops["event"].says == (
        "dicom.stored was not consumed; told 3 times by the reconciler; told again at 2024-05-06T08:00:00.000Z; "
        "its context is parked in Orthanc"
    )
    assert (hops["decided"].state, hops["announced"].state) == ("pending", "pending")
    assert found.next is not None
    assert found.next.command == "examflow reconcile"
    async with desk.database.transaction() as session:
        session.add(PausedConsumer(queue=STORED, actor="olivia", reason="x"))
    paused = (await read_timeline(desk, data.orthanc_instance_id)).next
    async with desk.database.transaction() as session:
        await session.execute(delete(PausedConsumer))
    assert paused is not None
    assert paused.command == f"examflow consumers resume {STORED}"


FAILED = {
    "refused-uid": ("refused", "sop_uid_in_use", "examflow images unlink {sop} --reason '...'"),
    "refused": ("refused", "unusable-identifiers", None),
    "dead": ("dead", "dead-letter", "examflow dead-letters list"),
    "deleted": ("deleted", "deleted", None),
}


@pytest.mark.parametrize(("state", "code", "command"), FAILED.values(), ids=list(FAILED))
async def test_the_hop_that_failed_its_cause_and_the_next_command(
    desk: Desk, state: str, code: str, command: str | None
) -> None:
    data = given.image()
    await given.take(desk.database, data)
    await _put(desk, data, state=state, code=code, reason="why", decided_at=func.now())
    found = await read_timeline(desk, data.orthanc_instance_id)
    decided = _hops(found)["decided"]
    assert (decided.state, decided.says) == ("failed", f"{state} ({code}): why")
    assert found.next is not None
    assert found.next.command == (command and command.format(sop=data.sop_instance_uid))


async def test_a_second_exam_that_was_asked_for_is_what_to_move_it_to(desk: Desk) -> None:
    exam, other = given.name(), given.name()
    for each in (exam, other):
        await given.open_exam(desk.database, each, "user:alice")
    data = given.image(exam=exam)
    for each in (exam, other):
        await given.take(desk.database, data.model_copy(update={"context": Context(examen_id=each)}))
    found = await read_timeline(desk, data.orthanc_instance_id)
    assert found.next is not None
    assert found.next.command == f"examflow images move {found.imageID} --exam {other} --reason '...'"
    async with desk.database.transaction() as session:
        await correct.move(session, data.sop_instance_uid, other, "olivia", "the other one")
    assert (await read_timeline(desk, data.orthanc_instance_id)).next is None
