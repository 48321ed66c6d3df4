"""Previews and files as the contract has them: types, validators, cache headers, and who may see them."""

import re

import httpx
import pytest

from tests import dicom_files
from tests.running import Running, registered, upload

EXAM = "EX-PICTURES"
MAX_AGE = "private, max-age=300"


@pytest.fixture(scope="module", autouse=True)
def exam(running: Running) -> None:
    running.open_exam(EXAM, "user:alice", "group:radiologie")


def test_preview_headers_and_validators(running: Running) -> None:
    front_end = running.client("alice")
    data = upload(front_end, dicom_files.fresh("CT_small.dcm"), examenID=EXAM).json()["data"]
    registered(front_end, data["ID"])
    shown = front_end.get(f"/dicom/instances/{data['ID']}/preview")
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
    age = int(shown.headers["age"])  # of a picture that was made ahead
    assert shown.headers["cache-control"] == f"private, max-age={300 + age}"
    etag = shown.headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', etag)
    same = front_end.get(f"/dicom/instances/{data['ID']}/preview", headers={"If-None-Match": etag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert same.headers["cache-control"] == MAX_AGE
    png = front_end.get(f"/dicom/instances/{data['ID']}/preview", headers={"Accept": "image/png"})
    assert (png.headers["content-type"], png.content[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    assert png.headers["etag"] != etag
    assert front_end.get(f"/dicom/instances/{data['ID']}/preview?quality=10").headers["etag"] != etag


def test_wado_by_sop_uid(running: Running) -> None:
    front_end, content = running.client("alice"), dicom_files.fresh("CT_small.dcm")
    data = upload(front_end, content, examenID=EXAM).json()["data"]
    registered(front_end, data["ID"])
    address = f"/dicom/wado/{data['SOPInstanceUID']}"
    file = front_end.get(address)
    assert (file.status_code, file.headers["content-type"], file.content) == (200, "application/dicom", content)
    assert file.headers["content-length"] == str(len(content))
    assert file.headers["cache-control"] == MAX_AGE
    assert front_end.get(address, headers={"If-None-Match": file.headers["etag"]}).status_code == 304
    picture = front_end.get(f"/dicom/instances/{data['ID']}/preview").content
    assert front_end.get(address, headers={"Accept": "image/jpeg"}).content == picture
    assert front_end.get(address, params={"contentType": "image/jpeg"}).content == picture


def test_groups_see_what_their_exam_allows(running: Running) -> None:
    alice = running.client("alice")
    data = upload(alice, dicom_files.fresh("CT_small.dcm"), examenID=EXAM).json()["data"]
    registered(alice, data["ID"])
    address = f"/dicom/instances/{data['ID']}/preview"
    assert running.client("bob", groups=("radiologie",)).get(address).status_code == 200
    hidden = running.client("bob").get(address)
    unknown = running.client("bob").get("/dicom/instances/0-0-0-0-0/preview")
    assert (hidden.status_code, unknown.status_code) == (404, 404)
    assert _words(hidden) == _words(unknown)


def _words(answer: httpx.Response) -> dict[str, object]:
    return {name: value for name, value in answer.json().items() if name != "correlationId"}
