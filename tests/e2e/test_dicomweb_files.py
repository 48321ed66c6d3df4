"""DICOMweb: files, frames, bulk data and pictures of what a caller may see."""

import io

import pytest
from PIL import Image
from pydicom import dcmread

from tests.e2e.ward import EXPLICIT, Ward, datasets

JPEG_LS = "1.2.840.10008.1.2.4.80"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "SC_rgb_rle_2frame.dcm"])
def test_files_come_as_they_are_stored_or_decoded(ward: Ward, name: str) -> None:
    image = ward.store("alice", name)
    client = ward.http("alice")
    alone = client.get(image.path, headers={"Accept": "application/dicom"})
    assert alone.content == image.content
    for syntax in ("", "; transfer-syntax=*"):
        answer = client.get(image.path, headers={"Accept": f'multipart/related; type="application/dicom"{syntax}'})
        assert image.content in answer.content
    accept = f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT}'
    decoded = client.get(image.path, headers={"Accept": accept})
    (dataset,) = datasets(decoded)
    assert dataset.file_meta.TransferSyntaxUID == EXPLICIT
    original = dcmread(io.BytesIO(image.content))
    assert dataset.PixelData.rstrip(b"\0") == original.pixel_array.tobytes().rstrip(b"\0")


def test_what_would_end_orthanc_does_not_reach_it(ward: Ward) -> None:
    """Encoding JPEG-LS did, and decoding JPEG 2000 for DICOMweb (1.10.1)."""
    compressed = ward.store("alice", "MR_small_jp2klossless.dcm")
    refused = ward.http("alice").get(
        compressed.path, headers={"Accept": f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT}'}
    )
    assert (refused.status_code, refused.json()["message"].count(EXPLICIT)) == (406, 0)
    (stored,) = ward.viewer("alice").retrieve_instance_frames(*compressed.uids, [1])
    assert stored in compressed.content
    image = ward.store("alice")
    client = ward.http("alice")
    for path, kind in ((image.path, "application/dicom"), (f"{image.path}/frames/1", "application/octet-stream")):
        answer = client.get(path, headers={"Accept": f'multipart/related; type="{kind}"; transfer-syntax={JPEG_LS}'})
        assert (answer.status_code, answer.json()["type"]) == (406, "/problems/not-acceptable")
    for accept in ("text/html", ";"):
        assert client.get(image.path, headers={"Accept": accept}).status_code == 406, accept
    assert client.get(image.path).status_code == 200


def test_frames_are_pixels_or_as_they_are_stored(ward: Ward) -> None:
    image = ward.store("alice", "SC_rgb_rle_2frame.dcm")
    original = dcmread(io.BytesIO(image.content))
    pixels = [frame.tobytes() for frame in original.pixel_array]
    viewer = ward.viewer("alice")
    assert viewer.retrieve_instance_frames(*image.uids, [1, 2]) == pixels
    assert viewer.retrieve_instance_frames(*image.uids, [2]) == pixels[1:]
    client = ward.http("alice")
    any_syntax = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
    stored = client.get(f"{image.path}/frames/1,2", headers={"Accept": any_syntax})
    assert "image/dicom-rle" in stored.headers["content-type"]
    assert stored.content.count(b"transfer-syntax=1.2.840.10008.1.2.5") == 2
    assert client.get(f"{image.path}/frames/3").json()["type"] == "/problems/frame-unknown"
    assert client.get(f"{image.path}/frames/0").status_code == 400
    assert client.get(f"{image.path}/frames/{','.join(['1'] * 101)}").status_code == 400
    report = ward.store("alice", "reportsi.dcm")
    assert client.get(f"{report.path}/frames/1").json()["type"] == "/problems/no-picture"


def test_bulk_data_is_where_metadata_says(ward: Ward) -> None:
    image = ward.store("alice", "CT_small.dcm")
    viewer = ward.viewer("alice")
    found = viewer.retrieve_instance_metadata(*image.uids)
    original = dcmread(io.BytesIO(image.content))
    for tag in ("7FE00010", "00431028"):
        uri = found[tag]["BulkDataURI"]
        assert uri.startswith(f"{_without_port(ward)}{image.path}/bulk/"), "the client says a host without its port"
        here = ward.running.env["EXAMFLOW_URL"] + uri.removeprefix(_without_port(ward))
        assert viewer.retrieve_bulkdata(here) == [original[tag].value]
    nested = ward.store("alice", "examples_overlay.dcm")
    uri = viewer.retrieve_instance_metadata(*nested.uids)["00880200"]["Value"][0]["7FE00010"]["BulkDataURI"]
    assert uri.endswith("/bulk/00880200.1.7fe00010")
    icon = dcmread(io.BytesIO(nested.content)).IconImageSequence[0]
    assert viewer.retrieve_bulkdata(ward.running.env["EXAMFLOW_URL"] + nested.path + "/bulk/00880200.1.7fe00010") == [
        icon.PixelData
    ]
    assert ward.http("alice").get(f"{image.path}/bulk/00991010").status_code == 409
    assert ward.http("bob").get(f"{image.path}/bulk/7fe00010").status_code == 404


def _without_port(ward: Ward) -> str:
    return ward.running.env["EXAMFLOW_URL"].rpartition(":")[0]


def test_pictures_are_those_of_the_preview(ward: Ward) -> None:
    image = ward.store("alice", "SC_rgb_rle_2frame.dcm")
    client = ward.http("alice")
    preview = client.get(f"/dicom/instances/{image.orthanc_id}/preview")
    rendered = client.get(f"{image.path}/rendered")
    assert rendered.content == preview.content
    assert rendered.headers["etag"] == preview.headers["etag"]
    again = client.get(f"{image.path}/rendered", headers={"If-None-Match": preview.headers["etag"]})
    assert again.status_code == 304
    second = client.get(f"/dicom/instances/{image.orthanc_id}/preview", params={"frame": 2, "quality": 70})
    assert client.get(f"{image.path}/frames/2/rendered", params={"quality": 70}).content == second.content
    small = client.get(f"{image.path}/rendered", params={"viewport": "40,30"}, headers={"Accept": "image/png"})
    with Image.open(io.BytesIO(small.content)) as shown:
        assert (shown.format, max(shown.size) <= 40) == ("PNG", True)
    for path in (f"/studies/{image.study}", f"/studies/{image.study}/series/{image.series}"):
        thumbnail = client.get(f"/dicom-web{path}/thumbnail")
        assert thumbnail.content == client.get(f"{image.path}/thumbnail").content
    for wrong in ({"annotation": "patient"}, {"viewport": "9000,1"}, {"window": "1"}, {"iccprofile": "yes"}):
        assert client.get(f"{image.path}/rendered", params=wrong).status_code == 400, wrong
    assert client.get(f"{image.path}/rendered", params={"window": "100,50,linear"}).status_code == 200
