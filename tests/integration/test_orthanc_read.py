"""Reading from the real Orthanc: digest, identity, pictures, files."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from io import BytesIO

import pytest
from pydicom import dcmread

from deploy.local.system import System
from shared.errors import OrthancNonsense
from shared.orthanc import Identity, Orthanc
from tests.dicom_files import fresh
from tests.integration import accounts

UNKNOWN = "00000000-00000000-00000000-00000000-00000000"


@pytest.fixture
async def orthanc(system: System) -> AsyncIterator[Orthanc]:
    """With the administrator's account: no service may do all of this."""
    orthanc = Orthanc(accounts.orthanc(system, "admin"))
    yield orthanc
    await orthanc.aclose()


async def test_digest_and_identity_of_an_instance(orthanc: Orthanc) -> None:
    content = fresh("CT_small.dcm")
    stored = await orthanc.store(content)
    assert await orthanc.digest(stored.instance_id) == hashlib.md5(content).hexdigest()
    tags = dcmread(BytesIO(content), stop_before_pixels=True)
    assert await orthanc.identity(stored.instance_id) == Identity(
        "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322",
        "1.3.6.1.4.1.5962.1.3.1.1.20040119072730.12322",
        tags.SOPInstanceUID,
        None,
        "CT",
    )


async def test_the_accession_number_is_part_of_the_identity(orthanc: Orthanc) -> None:
    dataset = dcmread(BytesIO(fresh("CT_small.dcm")))
    dataset.AccessionNumber, dataset.PatientID = "ACC-1", "accession-test"
    dataset.StudyInstanceUID += ".7"
    changed = BytesIO()
    dataset.save_as(changed)
    stored = await orthanc.store(changed.getvalue())
    identity = await orthanc.identity(stored.instance_id)
    assert identity is not None
    assert identity.accession_number == "ACC-1"


async def test_an_unknown_instance_is_none_and_no_error(orthanc: Orthanc) -> None:
    assert await orthanc.digest(UNKNOWN) is None
    assert await orthanc.identity(UNKNOWN) is None
    async with orthanc.file(UNKNOWN) as answer:
        assert answer is None
    assert (await orthanc.render(UNKNOWN, 0, 90, "image/jpeg")).status_code == 404


@pytest.mark.parametrize(("kind", "magic"), [("image/jpeg", b"\xff\xd8\xff"), ("image/png", b"\x89PNG")])
async def test_a_frame_is_rendered_in_the_kind_asked_for(orthanc: Orthanc, kind: str, magic: bytes) -> None:
    stored = await orthanc.store(fresh("CT_small.dcm"))
    answer = await orthanc.render(stored.instance_id, 0, 90, kind)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.content.startswith(magic)
    # Orthanc would compress it for a client that takes that.
    assert "content-encoding" not in answer.headers
    assert int(answer.headers["content-length"]) == len(answer.content)


async def test_quality_counts(orthanc: Orthanc) -> None:
    stored = await orthanc.store(fresh("CT_small.dcm"))
    coarse = await orthanc.render(stored.instance_id, 0, 1, "image/jpeg")
    fine = await orthanc.render(stored.instance_id, 0, 100, "image/jpeg")
    assert len(coarse.content) < len(fine.content)


async def test_frames_are_counted_from_zero(orthanc: Orthanc) -> None:
    stored = await orthanc.store(fresh("examples_ybr_color.dcm"))
    answers = [await orthanc.render(stored.instance_id, frame, 90, "image/jpeg") for frame in (0, 29, 30)]
    assert [answer.status_code for answer in answers[:2]] == [200, 200]
    assert answers[0].content != answers[1].content
    assert answers[2].status_code >= 400


async def test_a_file_without_a_picture_is_415(orthanc: Orthanc) -> None:
    stored = await orthanc.store(fresh("reportsi.dcm"))
    assert (await orthanc.render(stored.instance_id, 0, 90, "image/jpeg")).status_code == 415


async def test_the_file_comes_back_as_it_was_in_pieces(orthanc: Orthanc) -> None:
    content = fresh("examples_ybr_color.dcm")
    stored = await orthanc.store(content)
    async with orthanc.file(stored.instance_id) as answer:
        assert answer is not None
        pieces = [piece async for piece in answer.aiter_raw()]
    assert b"".join(pieces) == content
    assert len(pieces) > 1
    # The connection is free again.
    assert await orthanc.digest(stored.instance_id) == hashlib.md5(content).hexdigest()


async def test_a_download_given_up_midway_harms_no_other(orthanc: Orthanc) -> None:
    stored = await orthanc.store(fresh("examples_ybr_color.dcm"))
    for _ in range(45):  # more than there are connections
        async with orthanc.file(stored.instance_id) as answer:
            assert answer is not None
    assert await orthanc.digest(stored.instance_id)


async def test_statistics_count_what_is_stored(orthanc: Orthanc) -> None:
    before = await orthanc.statistics()
    content = fresh("CT_small.dcm")
    await orthanc.store(content)
    after = await orthanc.statistics()
    assert after["CountInstances"] > before["CountInstances"]
    assert int(after["TotalDiskSize"]) >= int(before["TotalDiskSize"]) + len(content)


async def test_readiness_is_a_round_trip(orthanc: Orthanc) -> None:
    await orthanc.answers()


async def test_a_wrong_password_at_a_download_is_nonsense(system: System) -> None:
    orthanc = Orthanc(accounts.orthanc(system, "preview", password="wrong"))
    async with contextlib.aclosing(orthanc):
        with pytest.raises(OrthancNonsense):
            async with orthanc.file(UNKNOWN):
                pass
