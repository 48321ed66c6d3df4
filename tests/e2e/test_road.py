"""One image's way from upload to preview, as a front end goes it."""

from tests import dicom_files
from tests.running import Running, registered, upload


def test_a_front_end_uploads_registers_and_shows(running: Running) -> None:
    running.open_exam("EX-ROAD", "user:alice")
    front_end = running.client("alice")

    answer = upload(front_end, dicom_files.fresh("CT_small.dcm"))
    assert answer.status_code == 201, answer.text
    result = answer.json()
    body = {
        "examenID": "EX-ROAD",
        "studyInstanceUID": result["data"]["StudyInstanceUID"],
        "seriesInstanceUID": result["data"]["SeriesInstanceUID"],
        "sopInstanceUID": result["data"]["SOPInstanceUID"],
        "dateAcquisition": result["data"]["acquisitionDate"],
        "modalite": result["data"]["modality"],
        "description": "Scanner thoracique",
        "orthancInstanceId": result["data"]["ID"],
    }
    record = front_end.post("/examens-medicaux/images", json=body)
    assert record.status_code == 201, record.text
    assert registered(front_end, result["data"]["ID"])["imageID"] == record.json()["imageID"]

    preview = front_end.get(f"/dicom/instances/{result['data']['ID']}/preview")
    assert preview.status_code == 200
    assert preview.headers["content-type"] == "image/jpeg"
