"""The hostile corpus against a running system: each file ends in its refusal, and Orthanc is never asked."""

import asyncio

import httpx
import pytest

from tests.dicom_files import fresh, fresh_uid
from tests.hostile.besieged import BUDGET, LIMIT, Besieged
from tests.hostile.files import Hostile, corpus
from tests.hostile.forms import FILE_NAMES, forms
from tests.running import upload
from tests.unit.dicom_bytes import dicom
from tests.unit.multipart import CONTENT_TYPE, file_part, form

FILES = corpus(LIMIT)
BODIES = {name: Hostile(form(file_part(one.content)), one.status, one.code) for name, one in FILES.items()} | forms()
HEADERS = {"Content-Type": CONTENT_TYPE}


def is_refused(answer: httpx.Response, hostile: Hostile) -> None:
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (hostile.status, f"/problems/{hostile.code}"), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == hostile.status
    assert problem["message"] == problem["detail"]
    assert problem["correlationId"]
    for secret in ("Traceback", "<script"):
        assert secret not in answer.text


@pytest.mark.parametrize("name", BODIES)
def test_each_ends_in_its_refusal(besieged: Besieged, name: str) -> None:
    stores = besieged.door.stores
    answer = besieged.running.client().post("/dicom/upload", content=BODIES[name].content, headers=HEADERS)
    is_refused(answer, BODIES[name])
    assert besieged.door.stores == stores


@pytest.mark.parametrize("name", ["over the limit", "a header of 9 MiB", "nested 50,000 deep"])
def test_a_body_that_does_not_say_how_long_it_is(besieged: Besieged, name: str) -> None:
    body, stores = BODIES[name].content, besieged.door.stores
    pieces = (body[start : start + 65536] for start in range(0, len(body), 65536))
    answer = besieged.running.client().post("/dicom/upload", content=pieces, headers=HEADERS)
    is_refused(answer, BODIES[name])
    # What flows when its limit is passed is cut off, and Orthanc stores nothing of it.
    assert besieged.door.stores <= stores + (name == "over the limit")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
def test_a_compressed_body_is_refused_and_its_header_goes_no_further(besieged: Besieged, coding: str) -> None:
    body, stores = form(file_part(fresh("CT_small.dcm"))), besieged.door.stores
    answer = besieged.running.client().post(
        "/dicom/upload", content=body, headers={**HEADERS, "Content-Encoding": coding}
    )
    is_refused(answer, Hostile(body, 415, "content-encoding-refused"))
    assert besieged.door.stores == stores


@pytest.mark.parametrize("name", FILE_NAMES)
def test_the_name_of_a_file_means_nothing(besieged: Besieged, name: str) -> None:
    part = ("file", (FILE_NAMES[name], fresh("CT_small.dcm"), "application/dicom"))
    assert besieged.running.client().post("/dicom/upload", files=[part]).status_code == 201


def test_all_of_it_at_once_leaves_memory_and_other_uploads_alone(besieged: Besieged) -> None:
    url, token = besieged.system.url, besieged.running.token("mallory")
    headers = {**HEADERS, "Authorization": f"Bearer {token}"}

    async def storm() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120, trust_env=False) as client:
            posts = [client.post("/dicom/upload", content=one.content) for one in BODIES.values() for _ in range(2)]
            return await asyncio.gather(*posts)

    assert upload(besieged.running.client(), fresh("CT_small.dcm")).status_code == 201
    idle, stored = besieged.rest(), besieged.instances()
    with besieged.normal_uploads() as normal:
        answers = besieged.background.run(storm(), 240)
    expected = [one.status for one in BODIES.values() for _ in range(2)]
    assert [answer.status_code for answer in answers] == expected
    assert set(normal) == {201}
    assert besieged.instances() == stored + len(normal)
    assert besieged.peak() - idle < BUDGET


def test_fifty_large_uploads_at_once_stay_within_the_budget(besieged: Besieged) -> None:
    """DESIGN section 9 has them ten times as large; what is held does not depend on it."""
    at_once, size = 50, 5 * 1024 * 1024
    url, token = besieged.system.url, besieged.running.token("alice")
    headers = {**HEADERS, "Authorization": f"Bearer {token}"}

    async def send() -> list[int]:
        async with httpx.AsyncClient(
            base_url=url, headers=headers, timeout=120, trust_env=False, limits=httpx.Limits()
        ) as client:
            bodies = [form(file_part(large(size))) for _ in range(at_once)]
            answers = await asyncio.gather(*(client.post("/dicom/upload", content=body) for body in bodies))
            return [answer.status_code for answer in answers]

    idle = besieged.rest()
    assert set(besieged.background.run(send(), 240)) == {201}
    assert besieged.peak() - idle < BUDGET


def large(size: int) -> bytes:
    """An image of this size with an identity of its own."""
    return dicom(SOPInstanceUID=fresh_uid(), pixels=b"p" * size)
