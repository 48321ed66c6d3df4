"""Every file of pydicom's test data that is stored, through DICOMweb: given or refused, and Orthanc lives on."""

import json
import warnings

import pytest

from tests import dicom_files
from tests.e2e.test_corpus import REFUSED
from tests.running import Running, registered, upload

EXAM = "EX-DICOMWEB-CORPUS"
# What becomes of the file decoded, a frame decoded, a frame as it is stored, and a frame that there is not.
USUAL = (200, 200, 200, 404)
NO_PIXELS = (200, 415, 415, 415)
AS_STORED = (406, 200, 200, 404)  # Orthanc is not asked to decode JPEG 2000 and JPEG-LS
UNUSUAL = {
    "badVR.dcm": (200, 415, 415, 404),  # it tells of pixels, and has none
    "693_J2KI.dcm": AS_STORED,
    "GDCMJ2K_TextGBR.dcm": AS_STORED,
    "J2K_pixelrep_mismatch.dcm": AS_STORED,
    "MR_small_jpeg_ls_lossless.dcm": AS_STORED,
    "SC_rgb_gdcm_KY.dcm": AS_STORED,
    "JPEG2000.dcm": AS_STORED,
    "JPEG2000-embedded-sequence-delimiter.dcm": AS_STORED,
    "MR_small_jp2klossless.dcm": AS_STORED,
    "US1_J2KI.dcm": AS_STORED,
    "US1_J2KR.dcm": AS_STORED,
    "examples_jpeg2k.dcm": AS_STORED,
    "SC_ybr_full_422_uncompressed.dcm": (200, 415, 415, 404),  # shorter than its frames
    "reportsi.dcm": NO_PIXELS,
    "reportsi_with_empty_number_tags.dcm": NO_PIXELS,
    "rtplan.dcm": NO_PIXELS,
    "test-SR.dcm": NO_PIXELS,
    "waveform_ecg.dcm": NO_PIXELS,
}
ANY = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
DECODED = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1'


@pytest.mark.parametrize("name", [name for name in dicom_files.names() if name not in REFUSED])
def test_each_file(running: Running, name: str) -> None:
    running.open_exam(EXAM, "user:alice")
    with warnings.catch_warnings(action="ignore"):
        content = dicom_files.fresh(name)
    client = running.client("alice")
    answer = upload(client, content, examenID=EXAM)
    if answer.status_code == 409:
        pytest.skip("its identity is taken by another file")
    data = answer.json()["data"]
    registered(client, data["ID"])
    study, series, sop = data["StudyInstanceUID"], data["SeriesInstanceUID"], data["SOPInstanceUID"]
    path = f"/dicom-web/studies/{study}/series/{series}/instances/{sop}"
    stored = running.orthanc().get(f"/instances/{data['ID']}/file").content
    assert client.get(path, headers={"Accept": "application/dicom"}).content == stored
    metadata = client.get(f"{path}/metadata")
    (item,) = json.loads(metadata.content)
    assert item["00080018"]["Value"] == [sop]
    decoded = client.get(path, headers={"Accept": DECODED})
    asked = [("1", "*/*"), ("1", ANY), ("1000", "*/*")]
    frames = [client.get(f"{path}/frames/{number}", headers={"Accept": accept}) for number, accept in asked]
    got = (decoded.status_code, *(frame.status_code for frame in frames))
    assert got == UNUSUAL.get(name, USUAL), [answer.headers.get("content-type") for answer in (decoded, *frames)]
