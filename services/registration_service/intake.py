"""What an image that arrived becomes: registered under its exam, waiting for it, or refused, each with its reason."""

from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import ledger, operators_word, outbox
from services.registration_service.ledger import State
from services.registration_service.locks import lock_for_image
from services.registration_service.matching import (
    UNLINKED,
    Exams,
    NotNow,
    is_trusted,
    numbered_elsewhere,
    permitted,
)
from services.registration_service.models import Exam, Image, LedgerEntry
from services.registration_service.registration import (
    UNKNOWN_MODALITY,
    Registration,
    describe,
    existing_image,
    existing_images,
    insert_images,
    link_instance,
    mark_registered,
    tell_registered,
)
from shared.events import DicomStored, ImageRefused, ImageWaiting, Origin

log = structlog.get_logger()

AT_ONCE = 500  # images in one statement


async def take_in(session: AsyncSession, data: DicomStored, happened: datetime) -> LedgerEntry:
    """Note a stored image and decide about it. The same event again changes nothing more."""
    await lock_for_image(session, data.context.examen_id, data.accession_number)
    entry = await ledger.note_stored(session, data, happened)
    if entry.state == State.REGISTERED:
        await told_again(session, entry, data)
    else:
        operators_word.forget_wish(entry)
        await _second_wish(session, entry, data)
        if _may_be_gone(entry, happened):
            _ask_orthanc_first(entry)
        else:
            await decide(session, entry)
    log.info(
        "image.decided",
        state=entry.state,
        code=entry.code,
        orthanc_id=entry.orthanc_id,
        sop_instance_uid=entry.sop_instance_uid,
        exam=entry.wanted_exam_id,
    )
    return entry


def _may_be_gone(entry: LedgerEntry, happened: datetime) -> bool:
    """Whether the image was found deleted after it was stored as this event says: it may have waited long."""
    return entry.code == State.DELETED and entry.decided_at is not None and happened < entry.decided_at


def _ask_orthanc_first(entry: LedgerEntry) -> None:
    """Leave it to the reconciler: it tells of the image once more if Orthanc has it, and else says `deleted` again."""
    entry.code = entry.reason = None
    entry.publish_after, entry.publishes = func.now(), 0


async def decide(session: AsyncSession, *entries: LedgerEntry) -> None:
    """Register each image, or say why not. The caller holds the locks of their exams and of their ledger rows."""
    for begin in range(0, len(entries), AT_ONCE):
        await _decide_some(session, entries[begin : begin + AT_ONCE])


async def _decide_some(session: AsyncSession, entries: Sequence[LedgerEntry]) -> None:
    """A few statements, however many images: an exam may open on thousands that wait for it."""
    recorded = await existing_images(session, entries)
    exams = await Exams.of(session, entries)
    matched: list[tuple[LedgerEntry, Exam]] = []
    for entry in entries:
        if entry.sop_instance_uid in recorded:
            continue
        found = exams.match(entry)
        if isinstance(found, NotNow):
            put(session, entry, found)
        else:
            matched.append((entry, found))
    made = await insert_images(session, [(_wanted(entry, exam), entry) for entry, exam in matched])
    met = [entry for entry in entries if entry.sop_instance_uid in recorded]
    met += [entry for entry, _ in matched if entry.orthanc_id not in made]
    if met:
        recorded = await existing_images(session, met)
    for entry in met:
        await _meet(session, entry, recorded[entry.sop_instance_uid])


async def _meet(session: AsyncSession, entry: LedgerEntry, image: Image) -> None:
    """The record stands already: HTTP made it before the file arrived, or it is another image's.

    Whoever knew its UIDs could make it, under any exam of theirs: an image that no person brought, and whose accession
    number speaks against that exam, is not theirs to have.
    """
    if image.orthanc_id == entry.orthanc_id:  # it was deleted in Orthanc, and is stored again
        mark_registered(entry, entry.registered_by or "event")
        tell_registered(session, image, created=False)
        await second_context(session, entry, entry.wanted_exam_id)
        return
    exam = await session.get_one(Exam, image.exam_id)
    same = (image.study_instance_uid, image.series_instance_uid) == (
        entry.study_instance_uid,
        entry.series_instance_uid,
    )
    brought = [Origin.model_validate(origin) for origin in entry.origins]
    if await numbered_elsewhere(session, entry, exam):
        brought = [origin for origin in brought if not is_trusted(origin)]
    trusted = operators_word.assigned_by(entry) or any(permitted(origin, exam) for origin in brought)
    if image.orthanc_id is None and same and trusted:
        link_instance(session, image, entry, _actor(entry))
        await second_context(session, entry, entry.wanted_exam_id)
        return
    refusal = NotNow(State.REFUSED, "sop_uid_in_use", "another image is registered under this SOP Instance UID")
    put(session, entry, refusal)


async def told_again(session: AsyncSession, entry: LedgerEntry, data: DicomStored) -> None:
    """Another event of a registered image: another exam is refused; the first description for its own is taken.

    An image may be registered before its upload's context comes: by accession number, with nobody to describe it.
    """
    await second_context(session, entry, data.context.examen_id)
    if entry.registered_by != "event" or not data.context.description:
        return
    image = await existing_image(session, entry.sop_instance_uid)
    if image is None or image.orthanc_id != entry.orthanc_id or image.description:
        return
    exam = await session.get_one(Exam, image.exam_id)
    if data.context.examen_id in (None, exam.exam_id) and permitted(data.origin, exam):
        describe(session, image, data.context.description, data.origin.actor or "unknown")


async def second_context(session: AsyncSession, entry: LedgerEntry, exam_id: str | None) -> None:
    """The first exam holds: another one asked for later is noted beside it and refused."""
    held = await session.scalar(select(Image.exam_id).where(Image.orthanc_id == entry.orthanc_id))
    if exam_id is None or exam_id in (held, entry.conflict_exam_id):
        return
    entry.conflict_exam_id = exam_id
    reason = "the image is registered under another exam, and the first one holds"
    _tell_refused(session, entry, exam_id, "registered-elsewhere", reason)


async def _second_wish(session: AsyncSession, entry: LedgerEntry, data: DicomStored) -> None:
    """Another exam named for an image that still waits: taken if it alone can be had now, else the first wish stays.

    The first can be had where its context was parked, and is decided only now. An operator's word stays in any case.
    """
    wish, unlinked = data.context.examen_id, operators_word.unlinked_from(entry)
    if wish is None or wish == entry.wanted_exam_id:
        return
    free = wish not in unlinked and not operators_word.assigned_by(entry)
    free = free and not await _can_be_had(session, entry.wanted_exam_id, Origin.model_validate(entry.origin))
    if free and await _can_be_had(session, wish, data.origin):
        entry.wanted_exam_id, entry.wanted_description = wish, data.context.description
        entry.origin = data.origin.model_dump(by_alias=True)
    elif wish != entry.conflict_exam_id:
        entry.conflict_exam_id = wish
        code, reason = "exam-already-named", "the image waits for the exam that was named first"
        if wish in unlinked:
            code, reason = UNLINKED, "an operator took the image out of this exam"
        _tell_refused(session, entry, wish, code, reason)


async def _can_be_had(session: AsyncSession, exam_id: str | None, origin: Origin) -> bool:
    exam = await session.get(Exam, exam_id) if exam_id else None
    return exam is not None and permitted(origin, exam)


def _wanted(entry: LedgerEntry, exam: Exam) -> Registration:
    return Registration(
        exam_id=exam.exam_id,
        study_instance_uid=entry.study_instance_uid,
        series_instance_uid=entry.series_instance_uid,
        sop_instance_uid=entry.sop_instance_uid,
        acquired_at=entry.acquired_at or entry.first_seen,
        modalite=entry.modality or UNKNOWN_MODALITY,
        description=entry.wanted_description,
        url=None,
        by="event",
        actor=_actor(entry),
    )


def _actor(entry: LedgerEntry) -> str:
    return operators_word.assigned_by(entry) or str(entry.origin.get("actor") or entry.origin.get("aet") or "unknown")


def put(session: AsyncSession, entry: LedgerEntry, found: NotNow) -> None:
    """Write why the image is not registered into its row, and announce it where that is new."""
    if (entry.state, entry.code, entry.reason) == (found.state, found.code, found.reason):
        return
    entry.state, entry.code, entry.reason = found.state, found.code, found.reason
    entry.decided_at = datetime.now(UTC)
    if found.state == State.REFUSED:
        _tell_refused(session, entry, entry.wanted_exam_id, found.code, found.reason)
        return
    outbox.say(
        session,
        ImageWaiting(
            orthanc_instance_id=entry.orthanc_id,
            sop_instance_uid=entry.sop_instance_uid,
            examen_id=entry.wanted_exam_id,
            accession_number=entry.accession_number,
            code=found.code,
            reason=found.reason,
        ),
        entry.orthanc_id,
    )


def _tell_refused(session: AsyncSession, entry: LedgerEntry, exam_id: str | None, code: str, reason: str) -> None:
    outbox.say(
        session,
        ImageRefused(
            orthanc_instance_id=entry.orthanc_id,
            sop_instance_uid=entry.sop_instance_uid,
            examen_id=exam_id,
            code=code,
            reason=reason,
        ),
        entry.orthanc_id,
    )
