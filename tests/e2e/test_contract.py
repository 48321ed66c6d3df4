"""The JSON of the contract, field by field, written by hand: a front end reads exactly this."""

import re

import pytest

from tests import dicom_files
from tests.running import Running, eventually, registered, upload

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ORTHANC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")
UID = re.compile(r"[0-9]+(\.[0-9]+)+")
EXAM = "EX-CONTRACT"


@pytest.fixture(scope="module", autouse=True)
def exam(running: Running) -> None:
    running.open_exam(EXAM, "user:alice", "group:radiologie")


def test_upload(running: Running) -> None:
    front_end, content = running.client("alice"), dicom_files.fresh("CT_small.dcm")
    first, again = upload(front_end, content), upload(front_end, content)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json().keys() == {"success", "data"}
    assert first.json()["success"] is True
    data = first.json()["data"]
    assert data.keys() == {
        "ID", "ParentPatient", "ParentSeries", "ParentStudy", "Path", "Status", "StudyInstanceUID",
        "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "acquisitionDate", "modality", "event",
    }  # fmt: skip
    assert all(ORTHANC_ID.fullmatch(data[name]) for name in ("ID", "ParentPatient", "ParentSeries", "ParentStudy"))
    assert data["Path"] == f"/instances/{data['ID']}"
    assert data["Status"] == "Success"
    assert data["StudyInstanceUID"] == "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"
    assert data["SeriesInstanceUID"] == "1.3.6.1.4.1.5962.1.3.1.1.20040119072730.12322"
    assert UID.fullmatch(data["SOPInstanceUID"])
    assert data["SOPClassUID"] == "1.2.840.10008.5.1.4.1.1.2"
    assert data["acquisitionDate"] == "1997-04-30T16:29:36.000Z"  # 11:29:36, TimezoneOffsetFromUTC -0500
    assert data["modality"] == "CT"
    assert data["event"] == "confirmed"
    assert again.json()["data"] == {**data, "Status": "AlreadyStored"}


def test_upload_of_an_image_without_date_and_modality(running: Running) -> None:
    data = upload(running.client("alice"), dicom_files.fresh("SC_jpeg_no_color_transform.dcm")).json()["data"]
    assert (data["acquisitionDate"], data["modality"]) == (None, None)


def test_upload_limits(running: Running) -> None:
    limits = running.client("alice").get("/dicom/upload/limits").json()
    assert limits["maxFileSize"] == 2147483648
    assert limits["fields"] == [
        {"name": "file", "required": True, "maxLength": None},
        {"name": "examenID", "required": False, "maxLength": 36},
        {"name": "description", "required": False, "maxLength": 4000},
    ]
    assert "1.2.840.10008.1.2.1" in limits["transferSyntaxes"]
    assert "1.2.840.10008.1.2.4.90" in limits["transferSyntaxes"]


def test_an_upload_that_names_its_exam_is_registered_by_itself(running: Running) -> None:
    front_end = running.client("alice")
    data = upload(front_end, dicom_files.fresh("MR_small.dcm"), examenID=EXAM, description="IRM").json()["data"]
    state = registered(front_end, data["ID"])
    assert state == {
        "orthancInstanceId": data["ID"],
        "sopInstanceUID": data["SOPInstanceUID"],
        "state": "registered",
        "code": None,
        "reason": None,
        "imageID": state["imageID"],
    }
    record = front_end.get(f"/examens-medicaux/images/{state['imageID']}")
    assert record.status_code == 200
    assert record.json() == {
        "imageID": state["imageID"],
        "examenID": EXAM,
        "studyInstanceUID": data["StudyInstanceUID"],
        "seriesInstanceUID": data["SeriesInstanceUID"],
        "sopInstanceUID": data["SOPInstanceUID"],
        "dateAcquisition": "2004-08-26T22:50:59.000Z",
        "modalite": "MR",
        "description": "IRM",
        "url": f"/dicom/wado/{data['SOPInstanceUID']}",
        "orthancInstanceId": data["ID"],
    }
    assert UUID7.fullmatch(state["imageID"])


def test_registration_by_http_fills_in_and_repeats(running: Running) -> None:
    front_end = running.client("alice")
    data = upload(front_end, dicom_files.fresh("CT_small.dcm"), examenID=EXAM).json()["data"]
    image_id = registered(front_end, data["ID"])["imageID"]
    body = {
        "examenID": EXAM,
        "studyInstanceUID": data["StudyInstanceUID"],
        "seriesInstanceUID": data["SeriesInstanceUID"],
        "sopInstanceUID": data["SOPInstanceUID"],
        "dateAcquisition": "2024-05-06T09:08:07.5+02:00",
        "modalite": "CT",
        "description": "Crâne",
        "url": "/dicom/wado/autre",
        "orthancInstanceId": data["ID"],
        "unknown": "is ignored",
    }
    filled = front_end.post("/examens-medicaux/images", json=body)
    assert filled.status_code == 200
    expected = {name: value for name, value in body.items() if name != "unknown"}
    expected |= {"imageID": image_id, "dateAcquisition": "2024-05-06T07:08:07.500Z"}
    assert filled.json() == expected
    second = front_end.post("/examens-medicaux/images", json={**body, "description": "another"})
    assert (second.status_code, second.json()) == (200, expected)


def test_registration_of_an_image_that_orthanc_does_not_have(running: Running) -> None:
    body = {
        "examenID": EXAM,
        "studyInstanceUID": "1.2.3",
        "seriesInstanceUID": "1.2.3.4",
        "sopInstanceUID": dicom_files.fresh_uid(),
        "dateAcquisition": "2024-05-06T09:08:07Z",
        "modalite": "CT",
        "description": "",
    }
    answer = running.client("alice").post("/examens-medicaux/images", json=body)
    assert answer.status_code == 201
    expected = {**body, "dateAcquisition": "2024-05-06T09:08:07.000Z", "orthancInstanceId": None}
    expected |= {"url": f"/dicom/wado/{body['sopInstanceUID']}", "imageID": answer.json()["imageID"]}
    assert answer.json() == expected


def test_exam_put_and_get(running: Running) -> None:
    his = running.client("his", "exams:write")
    body = {"accessionNumber": "ACC-9", "patientID": "P-1", "principals": ["user:a", "group:b"], "version": 7}
    opened = his.put("/examens-medicaux/EX-PUT", json=body)
    assert (opened.status_code, opened.json()) == (201, {"examenID": "EX-PUT", **body})
    older = his.put("/examens-medicaux/EX-PUT", json={"version": 7})
    assert (older.status_code, older.json()) == (200, {"examenID": "EX-PUT", **body})
    emptied = his.put("/examens-medicaux/EX-PUT", json={"version": 8}).json()
    assert emptied == {
        "examenID": "EX-PUT", "accessionNumber": None, "patientID": None, "principals": [], "version": 8,
    }  # fmt: skip
    assert his.get("/examens-medicaux/EX-PUT").json() == emptied
    unversioned = his.put("/examens-medicaux/EX-PUT", json={}).json()
    assert unversioned["version"] > 1_700_000_000_000_000  # microseconds since 1970


def test_list_is_newest_first_in_pages(running: Running) -> None:
    running.open_exam("EX-LIST", "user:alice")
    front_end = running.client("alice")
    assert front_end.get("/examens-medicaux/EX-LIST/images").json() == {"items": [], "next": None}
    for day in (3, 1, 2):
        body = {
            "examenID": "EX-LIST",
            "studyInstanceUID": "1.2.3",
            "seriesInstanceUID": "1.2.3.4",
            "sopInstanceUID": dicom_files.fresh_uid(),
            "dateAcquisition": f"2024-01-0{day}T00:00:00Z",
            "modalite": "CT",
            "description": "",
        }
        assert front_end.post("/examens-medicaux/images", json=body).status_code == 201
    first = front_end.get("/examens-medicaux/EX-LIST/images", params={"limit": 2}).json()
    assert [item["dateAcquisition"][:10] for item in first["items"]] == ["2024-01-03", "2024-01-02"]
    rest = front_end.get("/examens-medicaux/EX-LIST/images", params={"limit": 2, "cursor": first["next"]}).json()
    assert [item["dateAcquisition"][:10] for item in rest["items"]] == ["2024-01-01"]
    assert rest["next"] is None


def test_problem_document(running: Running) -> None:
    answer = running.client("alice").get("/examens-medicaux/NONE/images", headers={"X-Correlation-ID": "trace.1_A-b"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-correlation-id"] == "trace.1_A-b"
    sentence = "There is no such exam for you; check the examenID, or have the exam opened first."
    assert answer.json() == {
        "type": "/problems/exam-unknown",
        "title": "Exam unknown",
        "status": 404,
        "detail": sentence,
        "message": sentence,
        "correlationId": "trace.1_A-b",
    }
    french = running.client("alice").get("/examens-medicaux/NONE/images", headers={"Accept-Language": "fr-FR,en;q=0.5"})
    assert french.json()["message"].startswith("Cet examen n'existe pas pour vous")
    assert UUID7.fullmatch(french.headers["x-correlation-id"])


def test_nothing_is_known_yet_of_an_unknown_instance(running: Running) -> None:
    answer = running.client("alice").get("/dicom/instances/0-0-0-0-0/registration")
    assert (answer.status_code, answer.headers["retry-after"]) == (404, "1")


def test_an_image_without_exam_waits_and_says_why(running: Running) -> None:
    alice = running.client("alice")
    data = upload(alice, dicom_files.fresh("MR_small.dcm"), examenID="EX-LATER").json()["data"]
    state = registered(alice, data["ID"], "waiting")
    assert (state["code"], state["reason"]) == ("exam-unknown", "exam EX-LATER is not open yet")
    running.open_exam("EX-LATER", "user:alice")
    assert registered(alice, data["ID"])["imageID"]
    items = eventually(lambda: alice.get("/examens-medicaux/EX-LATER/images").json()["items"])
    assert [item["orthancInstanceId"] for item in items] == [data["ID"]]
