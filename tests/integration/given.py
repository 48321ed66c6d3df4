"""What tests of registration begin with: images, exams, and who brings them."""

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Any

from services.registration_service import exams
from services.registration_service.database import Database
from services.registration_service.intake import take_in
from services.registration_service.models import LedgerEntry
from services.registration_service.schemas import ImageToRegister
from shared.events import Context, DicomStored, Event, ExamUpserted, Origin
from shared.permission import ALL_EXAMS, Caller
from tests.dicom_files import fresh_uid

ALICE = Caller("alice")
BOB = Caller("bob")
OVERSEER = Caller("olga", frozenset({ALL_EXAMS}))
TAKEN_AT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
HAPPENED = datetime(2024, 5, 6, 8, 0, 0, tzinfo=UTC)


def name(prefix: str = "EX") -> str:
    """An exam or accession number that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def image(by: str = "alice", exam: str | None = None, description: str = "", **changes: Any) -> DicomStored:
    """What the upload service says of an image that no other test knows."""
    orthanc_id = hashlib.sha1(uuid.uuid4().bytes).hexdigest()
    values: dict[str, Any] = {
        "orthanc_instance_id": "-".join(orthanc_id[i : i + 8] for i in range(0, 40, 8)),
        "orthanc_series_id": "series",
        "orthanc_study_id": "study",
        "orthanc_patient_id": "patient",
        "study_instance_uid": fresh_uid(),
        "series_instance_uid": fresh_uid(),
        "sop_instance_uid": fresh_uid(),
        "modality": "CT",
        "acquisition_date": TAKEN_AT,
        "size": 4711,
        "digest": hashlib.md5(orthanc_id.encode()).hexdigest(),
        "origin": Origin(kind="upload", actor=by),
        "context": Context(examen_id=exam, description=description),
    }
    return DicomStored(**(values | changes))


def event(data: DicomStored, **changes: Any) -> Event[DicomStored]:
    made = Event.about(data, source="/examflow/upload", subject=data.orthanc_instance_id, correlation_id="corr-4711")
    return made.model_copy(update=changes)


def asked(data: DicomStored, exam: str, **changes: Any) -> ImageToRegister:
    """The registration by HTTP that a front end sends after the upload of this image."""
    body = {
        "examenID": exam,
        "studyInstanceUID": data.study_instance_uid,
        "seriesInstanceUID": data.series_instance_uid,
        "sopInstanceUID": data.sop_instance_uid,
        "dateAcquisition": "2020-02-03T04:05:06+01:00",
        "modalite": "MR",
        "description": "by HTTP",
        "url": "/dicom/given",
        "orthancInstanceId": data.orthanc_instance_id,
    }
    return ImageToRegister.model_validate(body | changes)


async def take(database: Database, data: DicomStored) -> LedgerEntry:
    """The event of an image arrives."""
    async with database.transaction() as session:
        return await take_in(session, data, HAPPENED)


async def open_exam(database: Database, exam: str, *principals: str, **fields: Any) -> exams.Upserted:
    """The HIS opens or replaces an exam; `version` counts up from 1 by the caller's word."""
    wanted = ExamUpserted(examen_id=exam, principals=list(principals), **({"version": 1} | fields))
    async with database.transaction() as session:
        return await exams.upsert(session, wanted, "his")
