"""What somebody may see of all that is stored: the decision of shared/permission.py, as a question to the tables.

tests/integration/test_visible.py holds it against that function. A study or series is told of as far as it may be seen:
its counts are those of the visible images alone.
"""

from typing import Any

from sqlalchemy import Select, Subquery, case, func, literal, null, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service.internal_schemas import VisibleImage, VisibleImages, VisibleQuestion
from services.registration_service.ledger import State
from services.registration_service.models import Exam, Image, LedgerEntry
from shared.permission import ALL_EXAMS, OPS, Caller, principals_of

_Row = Select[str, Any]  # an image's Orthanc id, and its exam
_Found = Select[LedgerEntry, Any, int, int, list[Any]]  # an entry, its exam, instances, series, modalities


async def visible(session: AsyncSession, asked: VisibleQuestion) -> VisibleImages:
    """Images, newest first; of studies or series one image each, which stands for it, and how much there is of it."""
    images = _registered(asked).union_all(_unregistered(asked)).subquery()
    rows = (await session.execute(_chosen(images, asked).limit(asked.most + 1))).all()
    found = [
        VisibleImage(
            orthancInstanceId=entry.orthanc_id,
            studyInstanceUID=entry.study_instance_uid,
            seriesInstanceUID=entry.series_instance_uid,
            sopInstanceUID=entry.sop_instance_uid,
            digest=entry.digest,
            modality=entry.modality,
            examenID=exam_id,
            instanceCount=instances,
            seriesCount=series,
            modalities=[modality for modality in modalities if modality],
        )
        for entry, exam_id, instances, series, modalities in rows[: asked.most]
    ]
    return VisibleImages(items=found, more=len(rows) > asked.most)


def _registered(asked: VisibleQuestion) -> _Row:
    """Images in an exam of theirs."""
    query = (
        select(LedgerEntry.orthanc_id, Exam.exam_id)
        .join(Image, Image.orthanc_id == LedgerEntry.orthanc_id)
        .join(Exam, Exam.exam_id == Image.exam_id)
    )
    caller = asked.caller()
    if not caller.has(ALL_EXAMS):
        query = query.where(Exam.principals.overlap(sorted(principals_of(caller))))
    return _asked_for(query, asked)


def _unregistered(asked: VisibleQuestion) -> _Row:
    """Images in no exam, which they uploaded."""
    registered = select(Image.image_id).where(Image.orthanc_id == LedgerEntry.orthanc_id).exists()
    query = select(LedgerEntry.orthanc_id, null()).where(~registered)
    caller: Caller = asked.caller()
    if not (caller.has(ALL_EXAMS) or caller.has(OPS)):
        query = query.where(LedgerEntry.uploaders.contains([caller.sub]))
    return _asked_for(query, asked)


def _asked_for(query: _Row, asked: VisibleQuestion) -> _Row:
    query = query.where(LedgerEntry.state != State.DELETED)
    if asked.study is not None:
        query = query.where(LedgerEntry.study_instance_uid == asked.study)
    if asked.series is not None:
        query = query.where(LedgerEntry.series_instance_uid == asked.series)
    return query


def _chosen(images: Subquery, asked: VisibleQuestion) -> _Found:
    """With their ledger entries; of each group, one."""
    exam = images.c.exam_id
    single = select(LedgerEntry, exam, literal(1), literal(1), postgresql.array([LedgerEntry.modality]))
    if asked.level == "instance":
        order = LedgerEntry.study_instance_uid, LedgerEntry.series_instance_uid, LedgerEntry.sop_instance_uid
        joined = single.join(images, images.c.orthanc_id == LedgerEntry.orthanc_id)
        return joined.order_by(*order, exam.nulls_last(), LedgerEntry.orthanc_id)
    by = [LedgerEntry.study_instance_uid, *([LedgerEntry.series_instance_uid] if asked.level == "series" else [])]
    groups = (
        select(
            func.min(LedgerEntry.orthanc_id).label("one"),
            case((func.min(exam) == func.max(exam), func.min(exam))).label("exam"),
            func.count().label("instances"),
            func.count(LedgerEntry.series_instance_uid.distinct()).label("series"),
            func.array_agg(LedgerEntry.modality.distinct()).label("modalities"),
            func.max(LedgerEntry.first_seen).label("newest"),
        )
        .join(images, images.c.orthanc_id == LedgerEntry.orthanc_id)
        .group_by(*by)
        .subquery()
    )
    counted = select(LedgerEntry, groups.c.exam, groups.c.instances, groups.c.series, groups.c.modalities)
    joined = counted.join(groups, groups.c.one == LedgerEntry.orthanc_id)
    return joined.order_by(groups.c.newest.desc(), LedgerEntry.orthanc_id)
