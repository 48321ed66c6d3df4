"""DICOMweb: what a search is answered, by pages and by attributes."""

import pytest

from tests import dicom_files
from tests.e2e.ward import Ward, value
from tests.integration import given
from tests.running import Running

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_pages_are_full_and_say_that_there_is_more(ward: Ward, running: Running) -> None:
    who = given.name("user")
    exam = given.name()
    running.open_exam(exam, f"user:{who}")
    stored = [ward.stored(who, exam, dicom_files.fresh_study("CT_small.dcm")) for _ in range(5)]
    client = ward.http(who)
    seen = []
    for offset in (0, 2, 4):
        answer = client.get("/dicom-web/studies", params={"limit": 2, "offset": offset})
        seen += [value(item, "0020000D") for item in answer.json()]
        assert ("Additional results can be requested" in answer.headers.get("warning", "")) == (offset < 4)
    assert sorted(seen) == sorted(image.study for image in stored), "each once"
    assert client.get("/dicom-web/studies", params={"limit": 0}).json() == []
    fuzzy = client.get("/dicom-web/studies", params={"fuzzymatching": "true"})
    assert "fuzzymatching parameter is not supported" in fuzzy.headers["warning"]
    all_of_them = ward.http("olga", "images:read exams:all").get("/dicom-web/studies", params={"limit": 3})
    assert len(all_of_them.json()) == 3
    assert "warning" in all_of_them.headers


def test_attributes_are_matched_and_told_as_asked(ward: Ward) -> None:
    name = given.name("Match")
    image = ward.store("alice", PatientID=name, StudyDescription="A description")
    client = ward.http("alice")
    asked = {"PatientID": name, "includefield": "StudyDescription,00081030"}
    (study,) = client.get("/dicom-web/studies", params=asked).json()
    assert value(study, "00081030") == "A description"
    assert value(study, "00081190") == f"{ward.running.env['EXAMFLOW_URL']}/dicom-web/studies/{image.study}"
    by_api = client.get("/api/dicom-web/studies", params={"00100020": name}).json()
    assert value(by_api[0], "00081190").startswith(ward.running.env["EXAMFLOW_URL"] + "/api/dicom-web/")
    for modality, there in (("US", 0), ("CT", 1), ("MR,CT", 1), ("*", 1)):
        found = client.get("/dicom-web/studies", params={"PatientID": name, "ModalitiesInStudy": modality}).json()
        assert len(found) == there, modality
    assert client.get("/dicom-web/studies", params={"PatientID": name, "StudyInstanceUID": ""}).json()
    (instance,) = client.get("/dicom-web/instances", params={"PatientID": name}).json()
    assert value(instance, "00080018") == image.sop
    for wrong in (
        {"Patient ID": "x"},
        {"includefield": "a/b"},
        {"SOPClassUID": "1.2"},
        {"ImageComments": "*"},
        {"limit": "-1"},
        {"PatientID": "x" * 5000},
    ):
        assert client.get("/dicom-web/studies", params=wrong).status_code == 400, wrong
