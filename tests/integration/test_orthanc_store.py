"""Storing in the real Orthanc: what is success, what is refused, and that half a file is nothing."""

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator
from io import BytesIO

import pytest
from pydicom import dcmread

from deploy.local.ports import Ports
from deploy.local.system import System
from shared.errors import OrthancAway, OrthancNonsense, StoreRefused
from shared.orthanc import Orthanc
from tests.dicom_files import fresh
from tests.integration import accounts
from tests.running import Running


async def _pieces(content: bytes, size: int = 4096) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def _in_orthanc(running: Running, content: bytes) -> list[str]:
    """The instances that carry this file's SOP Instance UID."""
    uid = str(dcmread(BytesIO(content), stop_before_pixels=True).SOPInstanceUID)
    found: list[dict[str, str]] = running.orthanc().post("/tools/lookup", content=uid).json()
    return [resource["ID"] for resource in found if resource["Type"] == "Instance"]


async def test_a_new_file_is_a_success_and_then_already_stored(orthanc: Orthanc, running: Running) -> None:
    content = fresh("CT_small.dcm")
    first = await orthanc.store(content)
    assert first.status == "Success"
    assert _in_orthanc(running, content) == [first.instance_id]
    assert first.path == f"/instances/{first.instance_id}"
    tags = dcmread(BytesIO(content), stop_before_pixels=True)
    place = (tags.PatientID, tags.StudyInstanceUID, tags.SeriesInstanceUID, tags.SOPInstanceUID)
    assert first.patient_id == _orthanc_id(*place[:1])
    assert first.study_id == _orthanc_id(*place[:2])
    assert first.series_id == _orthanc_id(*place[:3])
    assert first.instance_id == _orthanc_id(*place)

    again = await orthanc.store(content)
    assert (again.status, again.instance_id) == ("AlreadyStored", first.instance_id)


async def test_a_stream_is_stored_byte_for_byte(orthanc: Orthanc) -> None:
    content = fresh("MR_small.dcm")
    stored = await orthanc.store(_pieces(content))
    assert stored.status == "Success"
    assert await orthanc.digest(stored.instance_id) == hashlib.md5(content).hexdigest()


@pytest.mark.parametrize("junk", [b"", b"no DICOM at all", b"\0" * 128 + b"DICM" + b"\xff" * 64])
async def test_junk_is_refused(orthanc: Orthanc, junk: bytes) -> None:
    with pytest.raises(StoreRefused):
        await orthanc.store(junk)
    with pytest.raises(StoreRefused):
        await orthanc.store(_pieces(junk))


async def test_a_stream_that_breaks_off_stores_nothing(orthanc: Orthanc, running: Running) -> None:
    content = fresh("CT_small.dcm")

    class ClientGone(Exception):
        pass

    async def broken() -> AsyncIterator[bytes]:
        yield content[: len(content) // 2]
        yield content[len(content) // 2 : -2]
        raise ClientGone

    # The transport hides why the stream ended; who made the stream knows.
    with pytest.raises(OrthancAway):
        await orthanc.store(broken())
    # Its turn comes after the broken one: Orthanc has by then finished with that.
    stored = await orthanc.store(fresh("CT_small.dcm"))
    assert stored.status == "Success"
    assert _in_orthanc(running, content) == []
    assert (await orthanc.store(content)).status == "Success"


async def test_of_sixteen_equal_posts_at_once_one_is_the_first(orthanc: Orthanc) -> None:
    content = fresh("CT_small.dcm")
    answers = await asyncio.gather(*(orthanc.store(content if i % 2 else _pieces(content)) for i in range(16)))
    assert sorted(answer.status for answer in answers) == ["AlreadyStored"] * 15 + ["Success"]
    assert len({answer.instance_id for answer in answers}) == 1


async def test_nobody_at_the_address_is_away(system: System) -> None:
    url = f"http://127.0.0.1:{Ports.free().orthanc}"
    orthanc = Orthanc(accounts.orthanc(system, "upload", url=url))
    async with contextlib.aclosing(orthanc):
        for attempt in (orthanc.store(b"x"), orthanc.store(_pieces(b"x")), orthanc.digest("x"), orthanc.answers()):
            with pytest.raises(OrthancAway):
                await attempt


async def test_a_server_that_never_answers_is_away_in_time(system: System) -> None:
    # The kernel takes the connection; nobody ever reads from it.
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        orthanc = Orthanc(accounts.orthanc(system, "upload", url=url, answer_seconds=0.3))
        async with contextlib.aclosing(orthanc), asyncio.timeout(5):
            with pytest.raises(OrthancAway):
                await orthanc.store(b"x")


async def test_a_wrong_password_is_a_fault_of_the_operators_and_not_of_the_caller(system: System) -> None:
    orthanc = Orthanc(accounts.orthanc(system, "upload", password="wrong"))
    async with contextlib.aclosing(orthanc):
        for attempt in (orthanc.store(fresh("CT_small.dcm")), orthanc.identity("x"), orthanc.answers()):
            with pytest.raises(OrthancNonsense, match="account"):
                await attempt


def _orthanc_id(*identity: str) -> str:
    """Orthanc's ID: the SHA-1 of the identifiers, in five groups of eight."""
    digest = hashlib.sha1("|".join(identity).encode()).hexdigest()
    return "-".join(digest[i : i + 8] for i in range(0, 40, 8))
