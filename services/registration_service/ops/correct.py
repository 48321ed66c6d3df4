"""What was linked wrongly is moved to its exam, or unlinked; who did it and why stands in the audit trail alone."""

from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import audit, images, operators_word, rights
from services.registration_service.intake import put
from services.registration_service.matching import unlinked_now
from services.registration_service.models import Exam, Image, LedgerEntry
from services.registration_service.ops import which
from shared.errors import ExamUnknown

log = structlog.get_logger()


@dataclass(frozen=True)
class Unlinked:
    """The exam that the image was taken out of, and its ledger row as it stands now; None where its file never came."""

    image: Image
    entry: LedgerEntry | None


async def move(session: AsyncSession, name: str, exam_id: str, operator: str, reason: str) -> Image:
    """Put a registered image under another exam. Raises ExamUnknown, NotRegistered, NotInLedger."""
    image, _ = await which.registered(session, name)
    if await session.get(Exam, exam_id) is None:
        raise ExamUnknown
    await images.move(session, image, exam_id, operator, reason)
    log.info("image.moved", image_id=image.image_id, exam=exam_id, operator=operator)
    return image


async def unlink(session: AsyncSession, name: str, operator: str, reason: str) -> Unlinked:
    """Remove a record: its image waits, and is not linked again by itself (operators_word.py has the rule).

    Announced as `image.waiting` with the code `unlinked`. The record's description goes back into the ledger, for the
    next record. A record whose file never came is only removed: no event speaks of an image that is not stored.
    Raises NotRegistered, NotInLedger.
    """
    image, entry = await which.registered(session, name)
    await session.delete(image)
    await session.flush()
    await rights.changed(session, [image.exam_id])
    if entry is not None:
        operators_word.unlink(entry, image.exam_id)
        entry.registered_by, entry.wanted_description = None, image.description
        put(session, entry, unlinked_now())
    audit.append(
        session,
        actor=operator,
        action="image.unlink",
        outcome="unlinked",
        exam_id=image.exam_id,
        subject=image.sop_instance_uid,
        reason=reason,
    )
    log.info("image.unlinked", image_id=image.image_id, exam=image.exam_id, operator=operator)
    return Unlinked(image, entry)
