"""What makes answers about an exam void: its rights epoch rises, and everyone who keeps answers is told.

Not its principals alone count: an answer about an image that has left the exam, or was deleted, is wrong as well.
"""

from collections.abc import Iterable

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import outbox
from services.registration_service.models import Exam
from shared.events import ExamRightsChanged


async def changed(session: AsyncSession, exam_ids: Iterable[str]) -> None:
    """Raise the epoch of each exam and say so, in the transaction of what has changed."""
    for exam_id in sorted(set(exam_ids)):  # in one order, against deadlocks
        raised = update(Exam).where(Exam.exam_id == exam_id).values(rights_epoch=Exam.rights_epoch + 1)
        epoch = await session.scalar(raised.returning(Exam.rights_epoch))
        if epoch is not None:
            outbox.say(session, ExamRightsChanged(examen_id=exam_id, epoch=epoch), exam_id)
