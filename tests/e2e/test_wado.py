"""WADO by path and by URI (PS3.18): files whole and in parts, pictures as they are asked for."""

import io
import warnings
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from PIL import Image
from pydicom import dcmread

from tests import dicom_files
from tests.integration import given
from tests.running import Running, registered, upload


@dataclass(frozen=True)
class Stored:
    """An image of alice's exam."""

    content: bytes
    data: dict[str, Any]
    client: httpx.Client

    @property
    def by_path(self) -> str:
        return f"/dicom/wado/{self.data['SOPInstanceUID']}"

    def by_uri(self, **parameters: object) -> httpx.Response:
        uids = {
            "studyUID": self.data["StudyInstanceUID"],
            "seriesUID": self.data["SeriesInstanceUID"],
            "objectUID": self.data["SOPInstanceUID"],
        }
        return self.client.get("/dicom/wado", params={"requestType": "WADO"} | uids | parameters)

    def preview(self, **parameters: int) -> httpx.Response:
        return self.client.get(f"/dicom/instances/{self.data['ID']}/preview", params=parameters)


@pytest.fixture(scope="module")
def exam(running: Running) -> str:
    name = given.name()
    running.open_exam(name, "user:alice")
    return name


@pytest.fixture(scope="module")
def ct(running: Running, exam: str) -> Stored:
    return stored(running, exam, "CT_small.dcm")


def stored(running: Running, exam: str, name: str) -> Stored:
    with warnings.catch_warnings(action="ignore"):
        content = dicom_files.fresh(name)
    client = running.client("alice")
    data = upload(client, content, examenID=exam).json()["data"]
    registered(client, data["ID"])
    return Stored(content, data, client)


def test_a_download_that_broke_off_goes_on(ct: Stored) -> None:
    whole = ct.client.get(ct.by_path)
    assert (whole.status_code, whole.content, whole.headers["accept-ranges"]) == (200, ct.content, "bytes")
    asked = {"Range": "bytes=10000-", "If-Range": whole.headers["etag"]}
    rest = ct.client.get(ct.by_path, headers=asked)
    assert (rest.status_code, rest.content) == (206, ct.content[10_000:])
    assert rest.headers["content-range"] == f"bytes 10000-{len(ct.content) - 1}/{len(ct.content)}"
    assert rest.headers["content-length"] == str(len(ct.content) - 10_000)
    assert rest.headers["etag"] == whole.headers["etag"]
    other = ct.client.get(ct.by_path, headers={**asked, "If-Range": '"of another file"'})
    assert (other.status_code, other.content) == (200, ct.content)


def test_a_part_behind_the_end(ct: Stored) -> None:
    refused = ct.client.get(ct.by_path, headers={"Range": "bytes=10000000-"})
    assert (refused.status_code, refused.json()["type"]) == (416, "/problems/range-unsatisfiable")
    assert str(len(ct.content)) in refused.json()["message"]
    assert refused.headers["content-range"] == f"bytes */{len(ct.content)}"


def test_head_tells_the_size_and_the_name(ct: Stored) -> None:
    head = ct.client.head(ct.by_path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(ct.content))
    assert head.headers["content-disposition"] == f'attachment; filename="{ct.data["SOPInstanceUID"]}.dcm"'


def test_by_uri_a_picture_unless_the_file_is_asked_for(ct: Stored) -> None:
    shown = ct.by_uri()
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
    assert shown.content == ct.preview().content
    assert ct.by_uri(contentType="image/png").content.startswith(b"\x89PNG")
    file = ct.by_uri(contentType="application/dicom")
    assert (file.headers["content-type"], file.content) == ("application/dicom", ct.content)


def test_by_uri_fitted_into_rows_and_columns(ct: Stored) -> None:
    shown = ct.by_uri(rows=40, columns=64, imageQuality=50)
    assert Image.open(io.BytesIO(shown.content)).size == (40, 40)
    assert shown.content == ct.preview(width=64, height=40, quality=50).content


def test_by_uri_a_frame(running: Running, exam: str) -> None:
    video = stored(running, exam, "examples_ybr_color.dcm")
    assert video.by_uri(frameNumber=17).content == video.preview(frame=17).content != video.preview().content
    beyond = video.by_uri(frameNumber=31)
    assert (beyond.status_code, beyond.json()["type"]) == (404, "/problems/frame-unknown")


def test_by_uri_a_window_as_orthanc_makes_it(ct: Stored, running: Running) -> None:
    shown = ct.by_uri(windowCenter=40.5, windowWidth=400)
    own = running.orthanc().get(
        f"/instances/{ct.data['ID']}/frames/0/rendered",
        params={"window-center": "40.5", "window-width": "400", "quality": 90},
        headers={"Accept": "image/jpeg"},
    )
    assert (shown.status_code, shown.content) == (200, own.content)
    assert shown.content != ct.by_uri(windowCenter=1040, windowWidth=400).content
    assert shown.headers["etag"] != ct.by_uri().headers["etag"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"requestType": "WADA"}, "requestType"),
        ({"objectUID": "../x"}, "objectUID"),
        ({"studyUID": ""}, "studyUID"),
        ({"windowCenter": 40}, "windowWidth"),
        ({"windowCenter": "nan", "windowWidth": 1}, "windowCenter"),
        ({"windowCenter": 1, "windowWidth": 0}, "windowWidth"),
        ({"rows": 0}, "rows"),
        ({"columns": 4096}, "columns"),
        ({"frameNumber": 0}, "frameNumber"),
        ({"imageQuality": 101}, "imageQuality"),
        ({"anonymize": "yes"}, "anonymize"),
        ({"region": "0,0,1,1"}, "region"),
        ({"presentationUID": "1.2"}, "presentationUID"),
        ({"transferSyntax": "1.2.840.10008.1.2.1"}, "transferSyntax"),  # of a picture
        ({"contentType": "application/dicom", "transferSyntax": "1.2.840.10008.1.2.4.80"}, "transferSyntax"),
    ],
)
def test_by_uri_what_does_not_fit_is_named(ct: Stored, changed: dict[str, object], field: str) -> None:
    refused = ct.by_uri(**changed)
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [field]


def test_by_uri_a_file_is_decoded_where_that_is_asked_for(running: Running, exam: str) -> None:
    compressed = stored(running, exam, "MR_small_RLE.dcm")
    asked = {"contentType": "application/dicom", "transferSyntax": "1.2.840.10008.1.2.1"}
    decoded = dcmread(io.BytesIO(compressed.by_uri(**asked).content))
    assert decoded.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert decoded.PixelData == dcmread(io.BytesIO(compressed.content)).pixel_array.tobytes()
    assert compressed.by_uri(contentType="application/dicom").content == compressed.content


def test_by_uri_under_another_study_it_is_unknown(ct: Stored) -> None:
    for changed in ({"studyUID": "1.2.3"}, {"seriesUID": "1.2.3"}):
        refused = ct.by_uri(**changed)
        assert (refused.status_code, refused.json()["type"]) == (404, "/problems/instance-unknown")


def test_by_uri_what_is_accepted_decides(ct: Stored) -> None:
    refused = ct.by_uri(contentType="video/mpeg")
    assert (refused.status_code, refused.json()["type"]) == (406, "/problems/not-acceptable")
