"""What `dicom.stored` says about an upload: taken from Orthanc's answer, the header, the form and the token."""

import json
import warnings
from typing import Any

import pytest

from services.upload_service.dicom import read_header
from services.upload_service.fingerprint import Fingerprint
from services.upload_service.receiving import Received
from services.upload_service.stored_event import stored_event
from shared.events import DicomStored
from shared.orthanc import Stored
from shared.permission import Caller
from tests.unit.dicom_bytes import IDENTITY, dicom
from tests.unit.hostile_texts import BREAKS, HARMFUL, UNSEEN

CALLER = Caller("alice", frozenset({"dicom:upload", "images:write"}), ("radiology",))


def event_of(
    content: bytes, fields: dict[str, str] | None = None, caller: Caller = CALLER, remote_ip: str = "10.0.0.1"
) -> DicomStored:
    header = read_header(content, whole=True, limit=100_000)
    assert header is not None
    stored = Stored("i", "p", "st", "se", "Success", "/instances/i")
    received = Received(stored, header, 4711, "0" * 32, lambda: Fingerprint(content, header))
    return stored_event(received, fields or {}, caller, remote_ip, "Europe/Paris")


def test_field_by_field() -> None:
    content = dicom(
        Modality="CT",
        AccessionNumber="A-1",
        StudyDate="19960308",
        StudyTime="120000",
        PatientName="DOE^JANE",
        PatientBirthDate="19500101",
        PatientID="P-1",
    )
    said = event_of(content, {"examenID": "EX-1", "description": "Thorax"}).model_dump_json(by_alias=True)
    assert json.loads(said) == {
        "orthancInstanceId": "i",
        "orthancPatientId": "p",
        "orthancStudyId": "st",
        "orthancSeriesId": "se",
        "studyInstanceUID": "1.2.3.4.5.6.2",
        "seriesInstanceUID": "1.2.3.4.5.6.3",
        "sopInstanceUID": "1.2.3.4.5.6.1",
        "sopClassUID": "1.2.840.10008.5.1.4.1.1.7",
        "modality": "CT",
        "acquisitionDate": "1996-03-08T11:00:00.000Z",
        "accessionNumber": "A-1",
        "size": 4711,
        "digest": "00000000000000000000000000000000",
        "origin": {
            "kind": "upload",
            "actor": "alice",
            "groups": ["radiology"],
            "allExams": False,
            "aet": None,
            "remoteIP": "10.0.0.1",
        },
        "context": {"examenID": "EX-1", "description": "Thorax"},
    }


def test_what_the_file_and_the_form_do_not_say() -> None:
    event = event_of(dicom(), {"examenID": ""})
    assert (event.modality, event.acquisition_date, event.accession_number) == (None, None, None)
    assert (event.context.examen_id, event.context.description) == (None, "")
    assert event.sop_instance_uid == IDENTITY["SOPInstanceUID"]


@pytest.mark.parametrize(
    ("tags", "name"), [({"AccessionNumber": "A" * 65}, "accession_number"), ({"Modality": "M" * 51}, "modality")]
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's writer finds them too long as well
def test_a_value_that_is_too_long_is_left_out(tags: dict[str, Any], name: str) -> None:
    assert getattr(event_of(dicom(**tags)), name) is None


@pytest.mark.parametrize("text", [*HARMFUL.values(), *BREAKS.values(), *UNSEEN.values()], ids=ascii)
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's writer finds them wrong as well
def test_a_harmful_value_is_left_out(text: str) -> None:
    """Left out, not made another: an accession number without its control character would be another exam's."""
    modality = text if text.isascii() else "C\x1bT"  # a code string has no other characters (PS3.5, 6.2)
    event = event_of(dicom(SpecificCharacterSet="ISO_IR 192", Modality=modality, AccessionNumber=text))
    assert (event.modality, event.accession_number) == (None, None)


@pytest.mark.parametrize("name", ["\x1b[2J", "fe80::1%\u202e", "x" * 65])
def test_an_address_that_is_none_is_left_out(name: str) -> None:
    """What a proxy says about the client is a text from outside too."""
    assert event_of(dicom(), remote_ip=name).origin.remote_ip is None


def test_a_value_of_just_the_length_is_kept() -> None:
    with warnings.catch_warnings(action="ignore"):
        event = event_of(dicom(AccessionNumber="A" * 64, Modality="M" * 50))
    assert (event.accession_number, event.modality) == ("A" * 64, "M" * 50)


def test_who_may_see_every_exam_may_name_every_exam() -> None:
    assert event_of(dicom(), caller=Caller("olga", frozenset({"exams:all"}))).origin.all_exams
