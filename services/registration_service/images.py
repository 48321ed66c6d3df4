"""Reading image records, by id and by exam, and moving one that was wrongly linked."""

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import audit, outbox, rights
from services.registration_service.models import Exam, Image
from services.registration_service.paging import cursor_of, place_of
from shared.errors import ExamUnknown, ImageUnknown
from shared.events import ImageMoved
from shared.permission import Caller, may_see_exam


async def seen_exam(session: AsyncSession, caller: Caller, exam_id: str) -> Exam:
    """The exam, if the caller may see it; ExamUnknown otherwise."""
    exam = await session.get(Exam, exam_id)
    if exam is None:
        raise ExamUnknown
    if not may_see_exam(caller, exam.principals):
        raise ExamUnknown().hiding(exam_id, None)
    return exam


async def seen_image(session: AsyncSession, caller: Caller, image_id: str, *, hold: bool = False) -> Image:
    """The image record, if the caller may see its exam; ImageUnknown otherwise.

    `hold` locks it until the transaction ends.
    """
    image = await session.get(Image, image_id, with_for_update=hold or None)
    if image is None:
        raise ImageUnknown
    exam = await session.get_one(Exam, image.exam_id)
    if not may_see_exam(caller, exam.principals):
        raise ImageUnknown().hiding(exam.exam_id, image.sop_instance_uid)
    return image


async def page(session: AsyncSession, exam_id: str, limit: int, cursor: str | None) -> tuple[list[Image], str | None]:
    """An exam's images, newest first, and the cursor of the next page if there is one."""
    place = tuple_(Image.acquired_at, Image.image_id)
    query = select(Image).where(Image.exam_id == exam_id).order_by(Image.acquired_at.desc(), Image.image_id.desc())
    if cursor is not None:
        query = query.where(place < place_of(cursor))
    found = list((await session.scalars(query.limit(limit + 1))).all())
    more = len(found) > limit
    last = found[limit - 1] if more else None
    return found[:limit], cursor_of(last.acquired_at, last.image_id) if last else None


async def move(session: AsyncSession, image: Image, exam_id: str, actor: str, reason: str | None = None) -> None:
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
    await rights.changed(session, [left])
    for exam, outcome in ((left, "moved-away"), (exam_id, "moved-here")):
        audit.append(
            session,
            actor=actor,
            action="image.move",
            outcome=outcome,
            exam_id=exam,
            subject=image.sop_instance_uid,
            reason=reason,
        )
