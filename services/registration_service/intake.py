"""What an image that arrived becomes: registered under its exam, waiting for it, or refused, each with its reason."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import ledger, operators_word, outbox
from services.registration_service.ledger import State
from services.registration_service.locks import lock_for_image
from services.registration_service.models import Exam, Image, LedgerEntry
from services.registration_service.registration import (
    UNKNOWN_MODALITY,
    Registration,
    existing_image,
    insert_image,
    link_instance,
    mark_registered,
    tell_registered,
)
from shared.events import DicomStored, ImageRefused, ImageWaiting, Origin
from shared.permission import ALL_EXAMS, Caller, may_see_exam

log = structlog.get_logger()

UNLINKED = "unlinked"


@dataclass(frozen=True)
class NotNow:
    """Why an image is not registered: a code for programs, a sentence for people."""

    state: State
    code: str
    reason: str


async def take_in(session: AsyncSession, data: DicomStored, happened: datetime) -> LedgerEntry:
    """Note a stored image and decide about it. The same event again changes nothing more."""
    await lock_for_image(session, data.context.examen_id, data.accession_number)
    entry = await ledger.note_stored(session, data, happened)
    if entry.state == State.REGISTERED:
        await second_context(session, entry, data.context.examen_id)
    else:
        operators_word.forget_wish(entry)
        await _second_wish(session, entry, data)
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


async def decide(session: AsyncSession, entry: LedgerEntry) -> None:
    """Register the image, or say why not. The caller holds the locks of its exam and of its ledger row."""
    image = await existing_image(session, entry.sop_instance_uid)
    if image is None:
        found = await _find_exam(session, entry)
        if isinstance(found, NotNow):
            put(session, entry, found)
            return
        if await insert_image(session, _wanted(entry, found), entry):
            return
        image = await existing_image(session, entry.sop_instance_uid)
        assert image is not None, "a record that stood in the way is there"
    await _meet(session, entry, image)


async def _meet(session: AsyncSession, entry: LedgerEntry, image: Image) -> None:
    """The record stands already: HTTP made it before the file arrived, or it is another image's."""
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
    permitted = operators_word.assigned_by(entry) or any(_permitted(origin, exam) for origin in brought)
    if image.orthanc_id is None and same and permitted:
        link_instance(session, image, entry, _actor(entry))
        await second_context(session, entry, entry.wanted_exam_id)
        return
    refusal = NotNow(State.REFUSED, "sop_uid_in_use", "another image is registered under this SOP Instance UID")
    put(session, entry, refusal)


async def second_context(session: AsyncSession, entry: LedgerEntry, exam_id: str | None) -> None:
    """The first exam holds: another one asked for later is noted beside it and refused."""
    held = await session.scalar(select(Image.exam_id).where(Image.orthanc_id == entry.orthanc_id))
    if exam_id is None or exam_id in (held, entry.conflict_exam_id):
        return
    entry.conflict_exam_id = exam_id
    reason = "the image is registered under another exam, and the first one holds"
    _tell_refused(session, entry, exam_id, "registered-elsewhere", reason)


async def _second_wish(session: AsyncSession, entry: LedgerEntry, data: DicomStored) -> None:
    """Another exam named for an image that still waits: taken if it can be had now, else the first wish stays.

    An operator's word stays in any case.
    """
    wish, unlinked = data.context.examen_id, operators_word.unlinked_from(entry)
    if wish is None or wish == entry.wanted_exam_id:
        return
    exam = await session.get(Exam, wish)
    free = wish not in unlinked and not operators_word.assigned_by(entry)
    if exam is not None and free and _permitted(data.origin, exam):
        entry.wanted_exam_id, entry.wanted_description = wish, data.context.description
        entry.origin = data.origin.model_dump(by_alias=True)
    elif wish != entry.conflict_exam_id:
        entry.conflict_exam_id = wish
        code, reason = "exam-already-named", "the image waits for the exam that was named first"
        if wish in unlinked:
            code, reason = UNLINKED, "an operator took the image out of this exam"
        _tell_refused(session, entry, wish, code, reason)


async def _find_exam(session: AsyncSession, entry: LedgerEntry) -> Exam | NotNow:
    """The exam that was named, else the only one with the image's accession number.

    Who named the exam must be allowed to write it; for an accession number, anyone who brought the image.
    """
    found: Exam | NotNow | None
    if entry.wanted_exam_id:
        found, origins = await session.get(Exam, entry.wanted_exam_id), [entry.origin]
        if found is None:
            return NotNow(State.WAITING, "exam-unknown", f"exam {entry.wanted_exam_id} is not open yet")
    else:
        found, origins = await _by_accession(session, entry), entry.origins
    if isinstance(found, NotNow) or operators_word.assigned_by(entry):
        return found
    if not any(_permitted(Origin.model_validate(origin), found) for origin in origins if origin):
        return NotNow(State.WAITING, "not-a-principal", "the uploader is not one of the exam's principals")
    return found


def unlinked_now() -> NotNow:
    """Why an image waits that an operator took out of its exam."""
    reason = "an operator took it out of the exam that it was registered under; it waits until one is named anew"
    return NotNow(State.WAITING, UNLINKED, reason)


async def _by_accession(session: AsyncSession, entry: LedgerEntry) -> Exam | NotNow:
    number = entry.accession_number
    if operators_word.unlinked_from(entry):
        return unlinked_now()
    if not number:
        return NotNow(State.WAITING, "no-exam-named", "no exam was named, and the image has no accession number")
    exams = (await session.scalars(select(Exam).where(Exam.accession_number == number).limit(2))).all()
    if not exams:
        return NotNow(State.WAITING, "accession-unknown", f"no exam has the accession number {number} yet")
    if len(exams) > 1:
        reason = f"several exams have the accession number {number}"
        return NotNow(State.WAITING, "accession-ambiguous", reason)
    return exams[0]


def _permitted(origin: Origin, exam: Exam) -> bool:
    """An uploader must be allowed to write the exam; modalities and partners are trusted to name the right one.

    So is an upload of which nobody knows any more who sent it: it came through the gate, and only its accession number
    can still say where it belongs.
    """
    if origin.kind in ("modality", "partner") or (origin.kind == "upload-recovered" and origin.actor is None):
        return True
    scopes = frozenset({ALL_EXAMS}) if origin.all_exams else frozenset[str]()
    return may_see_exam(Caller(origin.actor or "", scopes, tuple(origin.groups)), exam.principals)


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
