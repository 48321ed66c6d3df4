"""What became of one stored image, for those who may know."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import ledger
from services.registration_service.errors import NothingKnownYet
from services.registration_service.internal_schemas import InternalInstance
from services.registration_service.models import Exam, Image, LedgerEntry
from services.registration_service.schemas import RegistrationState
from services.registration_service.siblings import siblings
from shared.errors import InstanceUnknown
from shared.permission import Caller, may_follow_instance


async def fate_of(session: AsyncSession, caller: Caller, orthanc_id: str) -> RegistrationState:
    """State, reason and record of an instance; NothingKnownYet until then. Its uploaders may always ask."""
    entry = await ledger.find(session, orthanc_id)
    if entry is None:
        raise NothingKnownYet
    image, exam = await record_of(session, orthanc_id)
    if not may_follow_instance(caller, exam.principals if exam else None, entry.uploaders):
        raise NothingKnownYet().hiding(exam.exam_id if exam else None, entry.sop_instance_uid)
    return RegistrationState(
        orthancInstanceId=entry.orthanc_id,
        sopInstanceUID=entry.sop_instance_uid,
        state=entry.state,
        code=entry.code,
        reason=entry.reason,
        imageID=image.image_id if image else None,
    )


async def describe_instance(session: AsyncSession, orthanc_id: str | None, block: int = 0) -> InternalInstance:
    """What the preview service needs to decide who may see an instance. Raises InstanceUnknown.

    Of a registered one also its siblings, in blocks of so many images.
    """
    query = (
        select(LedgerEntry, Exam)
        .outerjoin(Image, Image.orthanc_id == LedgerEntry.orthanc_id)
        .outerjoin(Exam, Exam.exam_id == Image.exam_id)
        .where(LedgerEntry.orthanc_id == orthanc_id)
    )
    found = (await session.execute(query)).first()
    if found is None:
        raise InstanceUnknown
    entry, exam = found[0], found[1]
    return InternalInstance(
        orthancInstanceId=entry.orthanc_id,
        studyInstanceUID=entry.study_instance_uid,
        seriesInstanceUID=entry.series_instance_uid,
        sopInstanceUID=entry.sop_instance_uid,
        state=entry.state,
        examenID=exam.exam_id if exam else None,
        principals=exam.principals if exam else None,
        uploaders=entry.uploaders,
        digest=entry.digest,
        modality=entry.modality,
        epoch=exam.rights_epoch if exam else None,
        siblings=await siblings(session, entry, exam.exam_id, block) if exam and block else [],
    )


async def record_of(session: AsyncSession, orthanc_id: str) -> tuple[Image | None, Exam | None]:
    """The record of a stored image and its exam, once it is registered."""
    found = await session.execute(
        select(Image, Exam).join(Exam, Exam.exam_id == Image.exam_id).where(Image.orthanc_id == orthanc_id)
    )
    row = found.first()
    return (row[0], row[1]) if row else (None, None)
