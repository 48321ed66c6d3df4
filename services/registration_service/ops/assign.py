"""An operator says to which exam an image belongs: it is registered there, whoever brought it."""

from dataclasses import dataclass

import structlog
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import audit, operators_word
from services.registration_service.intake import decide
from services.registration_service.ledger import State
from services.registration_service.locks import lock_for_image
from services.registration_service.models import Image, LedgerEntry
from services.registration_service.ops import which
from services.registration_service.ops.errors import AlreadyRegistered, NotAssignable

log = structlog.get_logger()

# Of the refusals, the one that passes: the other image under its UID may be gone, or the record may be this image's.
_MENDABLE = "sop_uid_in_use"


@dataclass(frozen=True)
class Assigned:
    """The image's row as it stands now, and its record if there is one."""

    entry: LedgerEntry
    image: Image | None


async def assign(session: AsyncSession, name: str, exam_id: str, operator: str, reason: str) -> Assigned:
    """Register the image under the exam, or let it wait for that exam until it opens.

    An image whose event was never consumed (`seen`, and most that are `dead`) is told anew by the reconciler: the event
    brings the date and the modality that the record needs, and the operator's word decides then.
    Raises NotInLedger, SeveralImages, AlreadyRegistered, NotAssignable.
    """
    # An exam that is named is found by its id alone: no accession number is looked at.
    await lock_for_image(session, exam_id, None)
    entry = await which.stored(session, name, hold=True)
    if entry.state == State.REGISTERED:
        return Assigned(entry, await _under(session, entry, exam_id))
    if entry.state == State.DELETED or (entry.state == State.REFUSED and entry.code != _MENDABLE):
        raise _not_assignable(entry)
    operators_word.assign(entry, exam_id, operator)
    if entry.event_at is None:
        entry.state, entry.code, entry.reason = State.SEEN, None, None
        entry.publish_after, entry.publishes = func.now(), 0
    else:
        await decide(session, entry)
    if entry.state == State.REFUSED:
        raise _not_assignable(entry)
    await session.flush()
    image = await _under(session, entry, exam_id) if entry.state == State.REGISTERED else None
    audit.append(
        session,
        actor=operator,
        action="image.assign",
        outcome=entry.state,
        exam_id=exam_id,
        subject=entry.sop_instance_uid,
        reason=reason,
    )
    log.info("image.assigned", orthanc_id=entry.orthanc_id, exam=exam_id, state=entry.state, operator=operator)
    return Assigned(entry, image)


async def _under(session: AsyncSession, entry: LedgerEntry, exam_id: str) -> Image | None:
    """The record, which must be under this exam."""
    image = await which.record_of(session, entry.orthanc_id)
    if image is not None and image.exam_id != exam_id:
        raise AlreadyRegistered(exam=image.exam_id, image=entry.orthanc_id, wanted=exam_id)
    return image


def _not_assignable(entry: LedgerEntry) -> NotAssignable:
    return NotAssignable(state=entry.state, reason=entry.reason, image=entry.orthanc_id)
