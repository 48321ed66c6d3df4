"""What is not registered, and why: by cause, and image by image, the one that came first at the top."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, case, func, null, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import operators_word
from services.registration_service.ledger import State
from services.registration_service.models import LedgerEntry
from services.registration_service.ops.schemas import Cause, WaitingImage, WaitingPage
from services.registration_service.paging import cursor_of, place_of

UNREGISTERED = (State.WAITING, State.REFUSED, State.DEAD, State.SEEN)
CAUSES_SHOWN = 20

# What a code is about: an exam, an accession number, or nothing but the image itself.
_EXAM = case(
    (LedgerEntry.code.in_(["exam-unknown", "not-a-principal"]), LedgerEntry.wanted_exam_id),
    else_=null(),
)
_ACCESSION = case(
    (LedgerEntry.code.in_(["accession-unknown", "accession-ambiguous"]), LedgerEntry.accession_number),
    ((LedgerEntry.code == "not-a-principal") & LedgerEntry.wanted_exam_id.is_(None), LedgerEntry.accession_number),
    else_=null(),
)


async def page(session: AsyncSession, state: str, cause: str | None, limit: int, cursor: str | None) -> WaitingPage:
    """Images of one state, and its causes; `cause` is a code, or one with what it is about, as the causes show it."""
    row = LedgerEntry
    query = select(row).where(row.state == state, *_of_cause(cause)).order_by(row.first_seen, row.orthanc_id)
    if cursor is not None:
        query = query.where(tuple_(row.first_seen, row.orthanc_id) > place_of(cursor))
    found = (await session.scalars(query.limit(limit + 1))).all()
    last = found[limit - 1] if len(found) > limit else None
    following = cursor_of(last.first_seen, last.orthanc_id) if last else None
    known, more = await causes(session, [state], CAUSES_SHOWN, cause)
    items = [_item(entry) for entry in found[:limit]]
    return WaitingPage(causes=known, moreCauses=more, items=items, next=following)


async def causes(
    session: AsyncSession, states: Sequence[str], most: int, cause: str | None = None
) -> tuple[list[Cause], bool]:
    """The commonest causes, and whether there are more."""
    row = LedgerEntry
    about = [row.state, row.code, row.reason, _EXAM.label("exam"), _ACCESSION.label("accession")]
    count, first = func.count().label("images"), func.min(row.first_seen).label("first")
    query = select(*about, count, first).where(row.state.in_(states), *_of_cause(cause))
    # By their names: PostgreSQL does not see that two expressions with parameters are the same one.
    query = query.group_by(row.state, row.code, row.reason, "exam", "accession")
    found = (await session.execute(query.order_by(count.desc(), first).limit(most + 1))).all()
    return [_cause(one) for one in found[:most]], len(found) > most


def _cause(found: Any) -> Cause:
    about = found.exam or found.accession
    return Cause(
        state=found.state,
        cause=f"{found.code}:{about}" if about else found.code,
        reason=found.reason,
        examenID=found.exam,
        accessionNumber=found.accession,
        count=found.images,
        first=found.first,
    )


def _of_cause(cause: str | None) -> list[ColumnElement[bool]]:
    if cause is None:
        return []
    code, colon, about = cause.partition(":")
    of_code = LedgerEntry.code == code
    return [of_code, func.coalesce(_EXAM, _ACCESSION) == about] if colon else [of_code]


def _item(entry: LedgerEntry) -> WaitingImage:
    origin = entry.origin or (entry.origins[0] if entry.origins else {})
    return WaitingImage(
        orthancInstanceId=entry.orthanc_id,
        sopInstanceUID=entry.sop_instance_uid,
        state=entry.state,
        code=entry.code,
        reason=entry.reason,
        examenID=entry.wanted_exam_id,
        assignedBy=operators_word.assigned_by(entry),
        unlinkedFrom=operators_word.unlinked_from(entry),
        conflictExamenID=entry.conflict_exam_id,
        accessionNumber=entry.accession_number,
        received=entry.first_seen,
        since=entry.decided_at or entry.first_seen,
        uploaders=entry.uploaders,
        kind=origin.get("kind"),
        aet=origin.get("aet"),
    )
