"""A whole life of images, with every service's account held to its routes: none of them is ever refused anything."""

import asyncio
import contextlib
from pathlib import Path

import httpx
import pytest

from deploy.local.system import System
from services.upload_service.announcing import Announcing
from shared.orthanc import Orthanc
from tests import dicom_files
from tests.e2e.operator import examflow
from tests.integration import accounts, given
from tests.integration.test_announcing import NoBroker
from tests.running import Running, eventually, registered, upload

REFUSED = "route refused: "


@pytest.fixture
def log(running: Running) -> Path:
    """Orthanc's own, where each refusal is a line."""
    path = running.root / "logs" / "orthanc.log"
    if not path.exists():
        pytest.skip("the logs of containers are not files here")
    return path


def test_no_service_is_refused_what_it_needs(running: Running, system: System, log: Path) -> None:
    began = log.stat().st_size
    _uploads_and_views(running)
    _a_parked_context(running, system)
    _operators(running)
    assert _refusals(log, began) == []

    # And such a line would have been seen.
    account = ("preview", system.secrets.orthanc_preview)
    assert httpx.get(f"http://{system.backing.orthanc}/system", auth=account, trust_env=False).status_code == 403
    assert eventually(lambda: _refusals(log, began), what="the line about a refusal")[0].endswith("preview GET /system")


def _uploads_and_views(running: Running) -> None:
    alice, exam = running.client("alice"), given.name()
    running.open_exam(exam, "user:alice")
    content = dicom_files.fresh("CT_small.dcm")
    data = upload(alice, content, examenID=exam).json()["data"]
    assert upload(alice, content, examenID=exam).json()["data"]["Status"] == "AlreadyStored"
    assert upload(alice, content.replace(b"CompressedSamples^CT1", b"CompressedSamples^CT2")).status_code == 409
    registered(alice, data["ID"])
    assert alice.get(f"/dicom/instances/{data['ID']}/preview", params={"width": 64}).status_code == 200
    assert alice.get(f"/dicom/instances/{data['ID']}/preview", params={"frame": 7}).status_code == 404
    assert alice.get(f"/dicom/wado/{data['SOPInstanceUID']}").content == content
    body = {
        "examenID": exam,
        **{f"{name}InstanceUID": data[f"{big}InstanceUID"] for name, big in (("study", "Study"), ("series", "Series"))},
        "sopInstanceUID": data["SOPInstanceUID"],
        "dateAcquisition": "2020-02-03T04:05:06Z",
        "modalite": "CT",
        "description": "",
        "orthancInstanceId": "0-0-0-0-0",
    }
    unknown = running.client("olga", "images:write exams:all").post("/examens-medicaux/images", json=body)
    assert unknown.status_code == 400, unknown.text  # found out by asking Orthanc


def _a_parked_context(running: Running, system: System) -> None:
    """As when the broker is away: read, registered and taken off again by the reconciler."""
    exam = given.name()
    running.open_exam(exam, "user:alice")
    orthanc_id = asyncio.run(_park(system, exam))
    registered(running.client("alice"), orthanc_id)
    path = f"/instances/{orthanc_id}/metadata/1024"
    eventually(lambda: running.orthanc().get(path).status_code == 404, what="the context taken off")


async def _park(system: System, exam: str) -> str:
    async with contextlib.aclosing(Orthanc(accounts.orthanc(system, "upload"))) as orthanc:
        stored = await orthanc.store(dicom_files.fresh("MR_small.dcm"))
        announcing = Announcing(NoBroker(), orthanc)
        data = given.image(exam=exam, orthanc_instance_id=stored.instance_id)
        assert [await announcing.announce(data) for _ in range(2)] == ["pending", "pending"]
    return stored.instance_id


def _operators(running: Running) -> None:
    by_c_store_or_by_hand = running.orthanc().post("/instances", content=dicom_files.fresh("CT_small.dcm")).json()
    registered(running.client("olga", "ops images:read"), by_c_store_or_by_hand["ID"], "waiting")
    for command in (["status"], ["timeline", by_c_store_or_by_hand["ID"]], ["reconcile", "--full", "--wait"]):
        done = examflow(running, *command)
        assert done.stdout, done.stderr
    assert "not in Orthanc either" in examflow(running, "timeline", "1.2.3.4").stderr


def _refusals(log: Path, began: int) -> list[str]:
    with log.open("rb") as file:
        file.seek(began)
        return [line.strip() for line in file.read().decode().splitlines() if REFUSED in line]
