"""What Orthanc has becomes rows of the ledger: `seen` for each image without one; parked contexts are merged."""

from collections.abc import Collection, Iterable
from datetime import timedelta

import structlog
from prometheus_client import Counter
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import ledger
from services.registration_service.intake import told_again
from services.registration_service.ledger import State
from services.registration_service.models import LedgerEntry
from services.registration_service.pacs import Found
from services.registration_service.settings import ReconcilerSettings
from shared.correlation import correlation_id
from shared.events import DicomStored, Event

log = structlog.get_logger()

NOTED = Counter(
    "examflow_reconciler_noted", "Images that the reconciler brought into the ledger, and contexts", ["what"]
)


async def without_row(session: AsyncSession, ids: Collection[str]) -> set[str]:
    """Those of the instances of which the ledger does not say that they are there."""
    known = select(LedgerEntry.orthanc_id).where(LedgerEntry.orthanc_id.in_(ids), LedgerEntry.state != State.DELETED)
    return set(ids) - set(await session.scalars(known))


async def note(session: AsyncSession, found: Iterable[Found], settings: ReconcilerSettings) -> None:
    """Bring the instances into the ledger, and their parked contexts; what stands there already stays."""
    images = sorted(found, key=lambda image: image.orthanc_id)  # in one order, against deadlocks
    if images:
        await _note_seen(session, images, settings)
    for image in images:
        if image.parked:
            await merge(session, image.parked)


async def _note_seen(session: AsyncSession, images: list[Found], settings: ReconcilerSettings) -> None:
    """Its event says all but the names, once more and in full; until then nobody is known to have brought it."""
    new = insert(LedgerEntry).values([_row(image, settings) for image in images])
    back = new.on_conflict_do_update(
        index_elements=[LedgerEntry.orthanc_id],
        set_={
            "state": State.SEEN,
            "code": None,
            "reason": None,
            "publish_after": new.excluded.publish_after,
            "publishes": 0,
            "last_seen": func.now(),
        },
        where=LedgerEntry.state == State.DELETED,
    ).returning(LedgerEntry.orthanc_id)
    noted = (await session.scalars(back)).all()
    if noted:
        NOTED.labels("image").inc(len(noted))
        log.info("images.noted", count=len(noted), first=noted[0])


def _row(image: Found, settings: ReconcilerSettings) -> dict[str, object]:
    told_by_upload = image.sent_by == settings.upload_user
    return {
        "orthanc_id": image.orthanc_id,
        "study_instance_uid": image.study_instance_uid,
        "series_instance_uid": image.series_instance_uid,
        "sop_instance_uid": image.sop_instance_uid,
        "first_seen": image.received,
        "publish_after": func.now() + timedelta(seconds=settings.grace_seconds if told_by_upload else 0),
    }


async def merge(session: AsyncSession, parked: Event[DicomStored]) -> None:
    """What an upload could not tell becomes part of the row, which is decided anew unless it is registered."""
    before = correlation_id.set(parked.correlationid)
    try:
        await _merge(session, parked)
    finally:
        correlation_id.reset(before)


async def _merge(session: AsyncSession, parked: Event[DicomStored]) -> None:
    exam_id = parked.data.context.examen_id
    entry = await ledger.find(session, parked.data.orthanc_instance_id, hold=True)
    if entry is not None and is_merged(entry, parked):
        entry.parked, entry.last_seen = True, func.now()
        return
    entry = await ledger.note_stored(session, parked.data, parked.time)
    entry.parked = True
    NOTED.labels("context").inc()
    log.info("context.merged", orthanc_id=entry.orthanc_id, state=entry.state, exam=exam_id)
    if entry.state == State.REGISTERED:
        await told_again(session, entry, parked.data)
    else:
        entry.state, entry.code, entry.reason = State.SEEN, None, None
        entry.publish_after, entry.publishes = func.now(), 0


def is_merged(entry: LedgerEntry, parked: Event[DicomStored]) -> bool:
    """Whether the row knows what the parked context says: the same page may be read twice."""
    exam_id, actor = parked.data.context.examen_id, parked.data.origin.actor
    named = exam_id is None or exam_id in (entry.wanted_exam_id, entry.conflict_exam_id)
    return entry.state != State.DELETED and named and (actor is None or actor in entry.uploaders)
