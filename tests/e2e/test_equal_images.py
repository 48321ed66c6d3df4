"""What Orthanc calls AlreadyStored: the same image, whichever way it came, or another one under its name."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import dicom_files
from tests.running import Running, upload


@pytest.mark.skipif(shutil.which("storescu") is None, reason="there is no storescu (Debian: dcmtk) on this machine")
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "examples_overlay.dcm"])
def test_an_equal_image_after_c_store_is_the_same(running: Running, tmp_path: Path, name: str) -> None:
    content = dicom_files.fresh(name)
    (tmp_path / "image.dcm").write_bytes(content)
    port = running.env["ORTHANC_DICOM_PORT"]
    subprocess.run(
        ["storescu", "-aet", "STORESCU", "-aec", "EXAMFLOW", "127.0.0.1", port, str(tmp_path / "image.dcm")],
        check=True,
        capture_output=True,
        timeout=60,
    )
    answer = upload(running.client(), content)
    assert (answer.status_code, answer.json()["data"]["Status"]) == (200, "AlreadyStored")


def test_another_image_under_the_same_name_is_refused_and_nothing_overwritten(running: Running) -> None:
    alice, content = running.client(), dicom_files.fresh("CT_small.dcm")
    stored = upload(alice, content).json()["data"]
    changed = content.replace(b"CompressedSamples^CT1", b"CompressedSamples^CT2")
    assert changed != content
    other = upload(alice, changed)
    assert other.status_code == 409
    assert other.json()["type"] == "/problems/already-other"
    assert "PatientName" in other.json()["message"]
    assert "CT2" not in other.text  # the tag is named, never its value
    assert running.orthanc().get(f"/instances/{stored['ID']}/file").content == content


def test_another_picture_under_the_same_name_is_refused(running: Running) -> None:
    alice, content = running.client(), dicom_files.fresh("CT_small.dcm")
    upload(alice, content)
    other = upload(alice, content[:20000] + bytes([content[20000] ^ 1]) + content[20001:])
    assert other.status_code == 409
    assert other.json()["message"].endswith("they differ in PixelData.")
