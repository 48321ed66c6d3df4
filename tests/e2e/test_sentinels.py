"""A patient's name goes every way that a file can go; what it leaves behind is searched when the system goes down."""

import httpx
import pytest

from tests import dicom_files, sentinels
from tests.integration import given
from tests.running import Running, registered, upload

FILE = "CT_small.dcm"


@pytest.fixture
def exam(running: Running) -> str:
    name = given.name()
    running.open_exam(name, "user:alice")
    return name


def test_the_sentinels_are_telling() -> None:
    assert {b"SENTINEL^PATIENT^NAME", b"CompressedSamples^CT1", b"Lastname^Firstname"} <= sentinels.values()
    assert b"SENTINEL-PID-7731" in sentinels.named(dicom_files.fresh(FILE))


def test_stored_registered_seen_and_downloaded(running: Running, exam: str) -> None:
    content = sentinels.named(dicom_files.fresh(FILE))
    data = upload(running.client(), content, examenID=exam).json()["data"]
    registered(running.client(), data["ID"])
    client = running.client()
    assert upload(client, content, examenID=exam).status_code == 200
    assert client.get(f"/dicom/instances/{data['ID']}/preview").status_code == 200
    assert sentinels.NAME.encode() in client.get(f"/dicom/wado/{data['SOPInstanceUID']}").content
    assert running.client("mallory").get(f"/dicom/instances/{data['ID']}/preview").status_code == 404
    assert running.client("olga", "ops").get(f"/ops/timeline/{data['ID']}").status_code == 200


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda content: content[:-1000],
        lambda content: content[:400] + b"\xff" * 200 + content[600:],
        lambda content: content.replace(b"1.2.840.10008.5.1.4.1.1.2\0", b"not-a-uid-at-all-it-isnt\0\0"),
        lambda content: content.replace(b"DICM", b"DICX", 1),
        lambda content: content[:132] + content[132:].replace(b"\x20\x00\x0d\x00UI", b"\x20\x00\x0d\x00XX", 1),
    ],
    ids=["cut off", "overwritten", "no class", "no DICOM", "wrong VR"],
)
def test_refused(running: Running, spoilt: "object") -> None:
    content: bytes = spoilt(sentinels.named(dicom_files.fresh(FILE)))  # type: ignore[operator]
    assert upload(running.client(), content).status_code in (201, 400, 415)


def test_another_image_under_its_name(running: Running, exam: str) -> None:
    content = sentinels.named(dicom_files.fresh(FILE))
    assert upload(running.client(), content, examenID=exam).status_code == 201
    other = content.replace(b"SENTINELGASSE 7", b"SENTINELGASSE 8")
    refused = upload(running.client(), other, examenID=exam)
    assert refused.status_code == 409
    assert "PatientAddress" in refused.text
    assert "SENTINEL" not in refused.text


def test_in_fields_where_it_does_not_belong(running: Running, exam: str) -> None:
    """Somebody may type it anywhere; a refusal says which field, and not what stood there."""
    client = running.client()
    refusals: list[httpx.Response] = [
        client.post("/examens-medicaux/images", json={"examenID": sentinels.NAME * 3, "modalite": sentinels.NAME * 9}),
        client.get(f"/examens-medicaux/{sentinels.PATIENT_ID}/images"),
        client.get("/dicom/wado/1.2.3", params={"contentType": sentinels.NAME * 20}),
        upload(client, dicom_files.fresh(FILE), examenID=sentinels.NAME * 3),
        running.client("his", "exams:write").put(f"/examens-medicaux/{exam}", json={"principals": [sentinels.NAME]}),
    ]
    assert [answer.status_code for answer in refusals] == [400, 404, 400, 400, 400]
