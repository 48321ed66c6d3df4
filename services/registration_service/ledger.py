"""The intake ledger: what became of each Orthanc instance, in one row, from its first event on."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from services.registration_service.models import LedgerEntry
from shared.correlation import correlation_id
from shared.events import DicomStored
from shared.orthanc import Identity

ORIGINS_KEPT = 100
UPLOADS = ("upload", "upload-recovered")  # whose actor is a person's `sub`: a partner's user is not one of those


class State(StrEnum):
    """Where an image stands."""

    SEEN = "seen"  # in Orthanc, not decided
    WAITING = "waiting"  # for its exam
    REGISTERED = "registered"
    REFUSED = "refused"  # a rule said no
    DEAD = "dead"  # attempts used up; a replay sets it back to seen
    DELETED = "deleted"  # stored again: back to seen


async def note_stored(session: AsyncSession, data: DicomStored, happened: datetime) -> LedgerEntry:
    """Insert or refresh the row of a stored image, and hold it until the transaction ends.

    A later event adds its uploader and origin. The first exam named stays the one wanted, with who named it.
    """
    uploader = data.origin.actor if data.origin.kind in UPLOADS else None
    new = insert(LedgerEntry).values(
        orthanc_id=data.orthanc_instance_id,
        study_instance_uid=data.study_instance_uid,
        series_instance_uid=data.series_instance_uid,
        sop_instance_uid=data.sop_instance_uid,
        sop_class_uid=data.sop_class_uid,
        modality=data.modality,
        acquired_at=data.acquisition_date,
        accession_number=data.accession_number,
        size=data.size,
        digest=data.digest,
        wanted_exam_id=data.context.examen_id,
        wanted_description=data.context.description,
        uploaders=[uploader] if uploader else [],
        origin=data.origin.model_dump(by_alias=True),
        origins=[data.origin.model_dump(by_alias=True)],
        attempts=1,
        first_seen=happened,
        event_at=func.now(),
        correlation_id=correlation_id.get(),
    )
    old, said = LedgerEntry, new.excluded
    first_wish = old.wanted_exam_id.is_(None) & said.wanted_exam_id.is_not(None)
    same_wish = said.wanted_exam_id.is_(None) | (said.wanted_exam_id == old.wanted_exam_id)
    first_words = first_wish | (same_wish & (old.wanted_description == ""))
    merged = new.on_conflict_do_update(
        index_elements=[old.orthanc_id],
        set_={
            "state": case((old.state == State.DELETED, State.SEEN), else_=old.state),
            "digest": said.digest,
            "size": said.size,
            "acquired_at": func.coalesce(old.acquired_at, said.acquired_at),
            "modality": func.coalesce(old.modality, said.modality),
            "sop_class_uid": func.coalesce(old.sop_class_uid, said.sop_class_uid),
            "accession_number": func.coalesce(old.accession_number, said.accession_number),
            "wanted_exam_id": func.coalesce(old.wanted_exam_id, said.wanted_exam_id),
            "wanted_description": case((first_words, said.wanted_description), else_=old.wanted_description),
            "uploaders": _united(uploader),
            "origin": case((first_wish | _nobody_known(), said.origin), else_=old.origin),
            "origins": case((_is_told(said.origins), old.origins), else_=old.origins.concat(said.origins)),
            "correlation_id": func.coalesce(old.correlation_id, said.correlation_id),
            "attempts": old.attempts + 1,
            "event_at": func.coalesce(old.event_at, said.event_at),
            "last_seen": func.now(),
        },
    ).returning(LedgerEntry)
    return (await session.scalars(merged, execution_options={"populate_existing": True})).one()


async def note_identity(session: AsyncSession, orthanc_id: str, identity: Identity) -> LedgerEntry:
    """Insert the row of an instance that Orthanc has but no event told of, and hold it; an existing row stays."""
    row = insert(LedgerEntry).values(
        orthanc_id=orthanc_id,
        study_instance_uid=identity.study_instance_uid,
        series_instance_uid=identity.series_instance_uid,
        sop_instance_uid=identity.sop_instance_uid,
        accession_number=identity.accession_number,
        modality=identity.modality,
        correlation_id=correlation_id.get(),
    )
    await session.execute(row.on_conflict_do_nothing(index_elements=[LedgerEntry.orthanc_id]))
    found = await find(session, orthanc_id, hold=True)
    assert found is not None
    return found


async def find(session: AsyncSession, orthanc_id: str, *, hold: bool = False) -> LedgerEntry | None:
    """The row of an instance; `hold` locks it until the transaction ends."""
    query = select(LedgerEntry).where(LedgerEntry.orthanc_id == orthanc_id)
    return await session.scalar(query.with_for_update() if hold else query)


async def find_by_sop(session: AsyncSession, sop_instance_uid: str, *, hold: bool = False) -> LedgerEntry | None:
    """The row of a SOP Instance UID: the registered one before others, then the first seen; none that was deleted."""
    query = (
        select(LedgerEntry)
        .where(LedgerEntry.sop_instance_uid == sop_instance_uid, LedgerEntry.state != State.DELETED)
        .order_by((LedgerEntry.state == State.REGISTERED).desc(), LedgerEntry.first_seen)
        .limit(1)
    )
    return await session.scalar(query.with_for_update() if hold else query)


def _nobody_known() -> ColumnElement[bool]:
    """Whether the row does not tell who brought the image: the reconciler may have found it before its event came."""
    origin = LedgerEntry.__table__.c.origin
    return and_(origin["actor"].astext.is_(None), func.coalesce(origin["kind"].astext, "") != "modality")


def _is_told(origins: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the old row has this origin, or as many as are kept."""
    known = LedgerEntry.origins
    return known.contains(origins) | (func.jsonb_array_length(known) >= ORIGINS_KEPT)


def _united(actor: str | None) -> ColumnElement[list[str]]:
    """The uploaders of the old row and this one, each once."""
    known = LedgerEntry.__table__.c.uploaders
    if actor is None:
        return known
    added = func.array_append(known, literal(actor, Text()), type_=ARRAY(Text))
    return case((literal(actor, Text()) == known.any_(), known), else_=added)
