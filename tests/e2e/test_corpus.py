"""Every .dcm file of pydicom's test data through the real upload; the expected end of each stands in the table."""

import warnings

import httpx
import pytest

from tests import dicom_files
from tests.running import Running, registered, upload

EXAM = "EX-CORPUS"
# Stored and registered; Orthanc says that there is no picture in it, or none that it can decode.
NO_PICTURE = {
    "GDCMJ2K_TextGBR.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm",
    "SC_rgb_rle_16bit.dcm",
    "SC_rgb_rle_16bit_2frame.dcm",
    "SC_rgb_rle_32bit.dcm",
    "SC_rgb_rle_32bit_2frame.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "badVR.dcm",
    "examples_jpeg2k.dcm",
    "reportsi.dcm",
    "reportsi_with_empty_number_tags.dcm",
    "rtdose.dcm",
    "rtdose_1frame.dcm",
    "rtdose_expb.dcm",
    "rtdose_expb_1frame.dcm",
    "rtdose_rle.dcm",
    "rtdose_rle_1frame.dcm",
    "rtplan.dcm",
    "test-SR.dcm",
    "waveform_ecg.dcm",
}
# Refused, and what the message names.
REFUSED = {
    "ExplVR_BigEndNoMeta.dcm": ("not-dicom", "DICM"),
    "ExplVR_LitEndNoMeta.dcm": ("not-dicom", "DICM"),
    "no_meta.dcm": ("not-dicom", "DICM"),
    "rtstruct.dcm": ("not-dicom", "DICM"),
    "JPEGLSNearLossless_08.dcm": ("tags-missing", "StudyInstanceUID, SeriesInstanceUID"),
    "JPEGLSNearLossless_16.dcm": ("tags-missing", "StudyInstanceUID, SeriesInstanceUID"),
    "SC_rgb_jls_lossy_line.dcm": ("tags-missing", "StudyInstanceUID, SeriesInstanceUID"),
    "SC_rgb_jls_lossy_sample.dcm": ("tags-missing", "StudyInstanceUID, SeriesInstanceUID"),
    "UN_sequence.dcm": ("tags-missing", "SOPInstanceUID"),
    "dicomdirtests/DICOMDIR-empty.dcm": ("dicomdir-refused", "DICOMDIR"),
    "empty_charset_LEI.dcm": ("tags-missing", "SOPInstanceUID"),
    "meta_missing_tsyntax.dcm": ("tags-missing", "SOPInstanceUID"),
    "nested_priv_SQ.dcm": ("tags-missing", "SOPInstanceUID"),
    "no_meta_group_length.dcm": ("tags-missing", "SOPInstanceUID"),
    "priv_SQ.dcm": ("tags-missing", "SOPInstanceUID"),
    "MR_truncated.dcm": ("dicom-broken", "ends too early"),
    "rtplan_truncated.dcm": ("dicom-broken", "ends too early"),
    "SC_rgb_jpeg.dcm": ("dicom-broken", "not written in its transfer syntax"),
}
STORED = [name for name in dicom_files.names() if name not in REFUSED]


def test_the_corpus_is_the_one_the_table_is_about() -> None:
    names = dicom_files.names()
    assert len(names) == 79
    assert NO_PICTURE | REFUSED.keys() <= set(names)


@pytest.fixture(scope="module", autouse=True)
def exam(running: Running) -> None:
    running.open_exam(EXAM, "user:alice")


@pytest.mark.parametrize("name", STORED)
def test_is_stored_registered_and_shown_as_orthanc_shows_it(running: Running, name: str) -> None:
    front_end, content = running.client("alice"), _fresh(name)
    answer = upload(front_end, content, examenID=EXAM)
    assert answer.status_code == 201, answer.text
    data = answer.json()["data"]
    registered(front_end, data["ID"])

    frames = front_end.get(f"/dicom/instances/{data['ID']}/frames")
    if name in NO_PICTURE:
        assert _orthancs_own(running, data["ID"], 1).status_code == 415
        for refused in (front_end.get(f"/dicom/instances/{data['ID']}/preview"), frames):
            assert (refused.status_code, refused.json()["type"]) == (415, "/problems/no-picture")
    else:
        for frame in range(1, frames.json()["count"] + 1):
            preview = front_end.get(f"/dicom/instances/{data['ID']}/preview", params={"frame": frame})
            assert (preview.status_code, preview.headers["content-type"]) == (200, "image/jpeg"), preview.text
            assert preview.content == _orthancs_own(running, data["ID"], frame).content
    assert front_end.get(f"/dicom/wado/{data['SOPInstanceUID']}").content == content


def _orthancs_own(running: Running, orthanc_id: str, frame: int) -> httpx.Response:
    """Orthanc's picture of a frame, counted from 1."""
    return running.orthanc().get(
        f"/instances/{orthanc_id}/frames/{frame - 1}/preview",
        params={"quality": 90},
        headers={"Accept": "image/jpeg", "Accept-Encoding": "identity"},
    )


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_with_its_trouble_named(running: Running, name: str) -> None:
    code, named = REFUSED[name]
    answer = upload(running.client("alice"), _fresh(name), examenID=EXAM)
    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert problem["type"] == f"/problems/{code}"
    assert named in problem["message"]


def _fresh(name: str) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns about the very flaws these files are there for
        return dicom_files.fresh(name)
