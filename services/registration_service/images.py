"""Reading image records, by id and by exam, and moving one that was wrongly linked."""

import base64
import binascii
import json
from datetime import datetime

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import audit, outbox
from services.registration_service.models import Exam, Image
from shared.errors import ExamUnknown, FieldError, ImageUnknown, InvalidInput
from shared.events import ImageMoved
from shared.permission import Caller, may_see_exam


async def seen_exam(session: AsyncSession, caller: Caller, exam_id: str) -> Exam:
    """The exam, if the caller may see it; ExamUnknown otherwise."""
    exam = await session.get(Exam, exam_id)
    if exam is None or not may_see_exam(caller, exam.principals):
        raise ExamUnknown
    return exam


async def seen_image(session: AsyncSession, caller: Caller, image_id: str) -> Image:
    """The image record, if the caller may see its exam; ImageUnknown otherwise."""
    image = await session.get(Image, image_id)
    if image is None:
        raise ImageUnknown
    exam = await session.get_one(Exam, image.exam_id)
    if not may_see_exam(caller, exam.principals):
        raise ImageUnknown
    return image


async def page(session: AsyncSession, exam_id: str, limit: int, cursor: str | None) -> tuple[list[Image], str | None]:
    """An exam's images, newest first, and the cursor of the next page if there is one."""
    place = tuple_(Image.acquired_at, Image.image_id)
    query = select(Image).where(Image.exam_id == exam_id).order_by(Image.acquired_at.desc(), Image.image_id.desc())
    if cursor is not None:
        query = query.where(place < _place(cursor))
    found = list((await session.scalars(query.limit(limit + 1))).all())
    more = len(found) > limit
    return found[:limit], _cursor(found[limit - 1]) if more else None


async def move(session: AsyncSession, image: Image, exam_id: str, actor: str) -> None:
    """Put a wrongly linked image under another exam, audited and announced."""
    if image.exam_id == exam_id:
        return
    left, image.exam_id = image.exam_id, exam_id
    moved = ImageMoved(
        image_id=image.image_id,
        sop_instance_uid=image.sop_instance_uid,
        orthanc_instance_id=image.orthanc_id,
        from_examen_id=left,
        to_examen_id=exam_id,
    )
    outbox.say(session, moved, image.orthanc_id or image.sop_instance_uid)
    for exam, outcome in ((left, "moved-away"), (exam_id, "moved-here")):
        audit.append(
            session, actor=actor, action="image.move", outcome=outcome, exam_id=exam, subject=image.sop_instance_uid
        )


def _cursor(image: Image) -> str:
    return base64.urlsafe_b64encode(json.dumps([image.acquired_at.isoformat(), image.image_id]).encode()).decode()


def _place(cursor: str) -> tuple[datetime, str]:
    try:
        acquired_at, image_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        moment = datetime.fromisoformat(acquired_at)
    except (ValueError, TypeError, binascii.Error):
        moment, image_id = None, None
    if moment is None or moment.tzinfo is None or not isinstance(image_id, str) or "\0" in image_id:
        field = FieldError("cursor", "is not one that this list gave", "n'est pas un curseur donné par cette liste")
        raise InvalidInput([field])
    return moment, image_id
