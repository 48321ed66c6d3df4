"""One of each event, and what it looks like on the wire: written by hand, from the contract."""

from datetime import datetime, timedelta, timezone
from typing import Any

from shared.events import (
    AuditRecord,
    AuditRecorded,
    Context,
    DicomStored,
    EventData,
    ExamRightsChanged,
    ExamUpserted,
    ImageMoved,
    ImageRefused,
    ImageRegistered,
    ImageWaiting,
    Origin,
)

WHEN = datetime(1996, 3, 8, 1, 30, tzinfo=timezone(timedelta(hours=1)))
STORED = DicomStored(
    orthanc_instance_id="i",
    orthanc_series_id="se",
    orthanc_study_id="st",
    orthanc_patient_id="p",
    study_instance_uid="1.2",
    series_instance_uid="1.3",
    sop_instance_uid="1.4",
    sop_class_uid="1.5",
    modality="CT",
    acquisition_date=WHEN,
    accession_number="A-1",
    size=5,
    digest="0" * 32,
    origin=Origin(kind="upload", actor="alice", groups=["g"], all_exams=True, aet="AET", remote_ip="10.0.0.1"),
    context=Context(examen_id="EX-1", description="thorax"),
)
ON_THE_WIRE: list[tuple[EventData, str, dict[str, Any]]] = [
    (
        STORED,
        "dicom.stored",
        {
            "orthancInstanceId": "i",
            "orthancSeriesId": "se",
            "orthancStudyId": "st",
            "orthancPatientId": "p",
            "studyInstanceUID": "1.2",
            "seriesInstanceUID": "1.3",
            "sopInstanceUID": "1.4",
            "sopClassUID": "1.5",
            "modality": "CT",
            "acquisitionDate": "1996-03-08T00:30:00.000Z",
            "accessionNumber": "A-1",
            "size": 5,
            "digest": "00000000000000000000000000000000",
            "origin": {
                "kind": "upload",
                "actor": "alice",
                "groups": ["g"],
                "allExams": True,
                "aet": "AET",
                "remoteIP": "10.0.0.1",
            },
            "context": {"examenID": "EX-1", "description": "thorax"},
        },
    ),
    (
        ExamUpserted(examen_id="EX-1", accession_number="A-1", patient_id="P-1", principals=["user:a"], version=7),
        "exam.upserted",
        {"examenID": "EX-1", "accessionNumber": "A-1", "patientID": "P-1", "principals": ["user:a"], "version": 7},
    ),
    (
        ImageRegistered(
            image_id="im",
            examen_id="EX-1",
            study_instance_uid="1.2",
            series_instance_uid="1.3",
            sop_instance_uid="1.4",
            orthanc_instance_id=None,
            date_acquisition=WHEN,
            modalite="CT",
            url="/dicom/wado/1.4",
            created=True,
        ),
        "image.registered",
        {
            "imageID": "im",
            "examenID": "EX-1",
            "studyInstanceUID": "1.2",
            "seriesInstanceUID": "1.3",
            "sopInstanceUID": "1.4",
            "orthancInstanceId": None,
            "dateAcquisition": "1996-03-08T00:30:00.000Z",
            "modalite": "CT",
            "url": "/dicom/wado/1.4",
            "created": True,
        },
    ),
    (
        ImageWaiting(orthanc_instance_id="i", sop_instance_uid="1.4", code="c", reason="r", accession_number="A-1"),
        "image.waiting",
        {
            "orthancInstanceId": "i",
            "sopInstanceUID": "1.4",
            "examenID": None,
            "accessionNumber": "A-1",
            "code": "c",
            "reason": "r",
        },
    ),
    (
        ImageRefused(orthanc_instance_id="i", sop_instance_uid="1.4", examen_id="EX-1", code="c", reason="r"),
        "image.refused",
        {"orthancInstanceId": "i", "sopInstanceUID": "1.4", "examenID": "EX-1", "code": "c", "reason": "r"},
    ),
    (
        ImageMoved(
            image_id="im", sop_instance_uid="1.4", orthanc_instance_id="i", from_examen_id="A", to_examen_id="B"
        ),
        "image.moved",
        {
            "imageID": "im",
            "sopInstanceUID": "1.4",
            "orthancInstanceId": "i",
            "fromExamenID": "A",
            "toExamenID": "B",
        },
    ),
    (ExamRightsChanged(examen_id="EX-1", epoch=3), "exam.rights-changed", {"examenID": "EX-1", "epoch": 3}),
    (
        AuditRecorded(
            records=[
                AuditRecord(
                    record_id="r", time=WHEN, actor="alice", action="a", outcome="o", examen_id="EX-1", remote_ip="::1"
                )
            ]
        ),
        "audit.recorded",
        {
            "records": [
                {
                    "recordId": "r",
                    "time": "1996-03-08T00:30:00.000Z",
                    "actor": "alice",
                    "action": "a",
                    "outcome": "o",
                    "examenID": "EX-1",
                    "subject": None,
                    "reason": None,
                    "correlationId": None,
                    "remoteIP": "::1",
                }
            ]
        },
    ),
]
