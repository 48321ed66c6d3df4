"""What happened to one image, hop by hop, each with its time; for what failed: where, why, and what to type next."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service.consumers import STORED_QUEUE
from services.registration_service.models import AuditEvent, Image, LedgerEntry, OutboxMessage
from services.registration_service.ops import hops, pauses, which
from services.registration_service.ops.advice import advice_on
from services.registration_service.ops.desk import Desk
from services.registration_service.ops.errors import NotInLedger
from services.registration_service.ops.in_pacs import InPacs, ask_orthanc, where_unknown
from services.registration_service.ops.letter import Letter
from services.registration_service.ops.listing import letters_about
from services.registration_service.ops.schemas import Act, Timeline
from services.registration_service.ops.schemas_dead_letters import DeadLetter

_ACTS_AT_MOST = 200


@dataclass(frozen=True)
class _Known:
    """All that the database knows of an image."""

    entry: LedgerEntry
    image: Image | None
    acts: Sequence[AuditEvent]
    unsent: int
    paused: bool


async def read_timeline(desk: Desk, name: str) -> Timeline:
    """The image's way. Raises NotInLedger, which says whether Orthanc has it; SeveralImages."""
    try:
        async with desk.database.transaction() as session:
            known = await _read(session, name)
    except NotInLedger:
        english, french = await where_unknown(desk, name)
        raise NotInLedger(where_en=english, where_fr=french) from None
    pacs = await ask_orthanc(desk, known.entry.orthanc_id)
    letters = await letters_about(desk.letters, known.entry.orthanc_id, known.entry.sop_instance_uid)
    return _told(known, pacs, letters)


async def _read(session: AsyncSession, name: str) -> _Known:
    entry = await which.stored(session, name)
    subject = AuditEvent.subject == entry.sop_instance_uid
    acts = await session.scalars(select(AuditEvent).where(subject).order_by(AuditEvent.id).limit(_ACTS_AT_MOST))
    # Few stand in the outbox at any time, and an event's subject is in its JSON alone.
    said = OutboxMessage.body.contains(f'"subject":"{entry.orthanc_id}"', autoescape=True)
    unsent = await session.scalars(select(OutboxMessage.id).where(said))
    return _Known(
        entry=entry,
        image=await which.record_of(session, entry.orthanc_id),
        acts=acts.all(),
        unsent=len(unsent.all()),
        paused=STORED_QUEUE in await pauses.paused(session),
    )


def _told(known: _Known, pacs: InPacs, letters: list[Letter] | None) -> Timeline:
    entry, image = known.entry, known.image
    return Timeline(
        orthancInstanceId=entry.orthanc_id,
        sopInstanceUID=entry.sop_instance_uid,
        state=entry.state,
        code=entry.code,
        reason=entry.reason,
        imageID=image.image_id if image else None,
        examenID=image.exam_id if image else entry.wanted_exam_id,
        conflictExamenID=entry.conflict_exam_id,
        accessionNumber=entry.accession_number,
        correlationId=entry.correlation_id,
        hops=[
            hops.received(entry),
            hops.stored(entry, pacs),
            hops.event(entry),
            hops.decided(entry),
            hops.registered(entry, image, known.acts),
            hops.announced(entry, known.unsent),
        ],
        acts=[_act(act) for act in known.acts],
        deadLetters=None if letters is None else [DeadLetter.of(letter) for letter in letters],
        next=advice_on(entry, image, letters or [], paused=STORED_QUEUE if known.paused else None),
    )


def _act(act: AuditEvent) -> Act:
    return Act(
        at=act.recorded_at,
        actor=act.actor,
        action=act.action,
        outcome=act.outcome,
        examenID=act.exam_id,
        reason=act.reason,
    )
