"""Registration by HTTP: the caller names exam and image; what may not be claimed does not exist for the caller."""

import asyncio
import time
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import ledger
from services.registration_service.database import Database
from services.registration_service.errors import EventOnItsWay, RegisteredElsewhere, UidInUse
from services.registration_service.fate import record_of
from services.registration_service.images import seen_exam
from services.registration_service.ledger import State
from services.registration_service.locks import lock_for_image
from services.registration_service.models import Image, LedgerEntry
from services.registration_service.registration import (
    Registration,
    existing_image,
    fill_in,
    insert_image,
    link_instance,
)
from services.registration_service.schemas import ImageToRegister
from shared.errors import FieldError, InvalidInput
from shared.orthanc import Identity, Orthanc
from shared.permission import Caller, may_follow_instance, may_see_unregistered

_POLL_SECONDS = 0.05
_NOT_STORED = FieldError("orthancInstanceId", "is no stored image", "n'est pas une image stockée")


@dataclass(frozen=True)
class Registered:
    """The record, and whether this request made it."""

    image: Image
    created: bool


class HttpRegistrations:
    """Registers images for HTTP callers. One instance serves all requests."""

    def __init__(self, database: Database, orthanc: Orthanc, wait_seconds: float) -> None:
        self._database = database
        self._orthanc = orthanc
        self._wait_seconds = wait_seconds

    async def register(self, caller: Caller, asked: ImageToRegister) -> Registered:
        """Make the record, or find it again; raises ExamUnknown, InvalidInput, 409s, EventOnItsWay."""
        async with self._database.transaction() as session:  # before anything else, or it would tell what is stored
            await seen_exam(session, caller, asked.examenID)
        identity = await self._await_event(caller, asked)
        async with self._database.transaction() as session:
            exam = await seen_exam(session, caller, asked.examenID)
            await lock_for_image(session, exam.exam_id, exam.accession_number)
            if identity and asked.orthancInstanceId:
                await ledger.note_identity(session, asked.orthancInstanceId, identity)
            entry = await _claimed(session, caller, asked)
            return await _settle(session, asked.wanted(entry, caller.sub), entry)

    async def _await_event(self, caller: Caller, asked: ImageToRegister) -> Identity | None:
        """Give the event of an upload just answered a moment to arrive; None once it has, or where none is needed.

        Without its event nobody knows who uploaded an instance: only those who may see all may go on then.
        """
        if asked.orthancInstanceId is None:
            return None
        deadline = time.monotonic() + self._wait_seconds
        identity: Identity | None = None
        while not await self._told(asked.orthancInstanceId):
            identity = identity or await self._orthanc.identity(asked.orthancInstanceId)
            if identity is None:
                raise InvalidInput([_NOT_STORED])
            if time.monotonic() > deadline:
                if may_see_unregistered(caller, ()):
                    return identity
                raise EventOnItsWay
            await asyncio.sleep(_POLL_SECONDS)
        return None

    async def _told(self, orthanc_id: str) -> bool:
        """Whether an event was decided: a row that the reconciler made before does not say whose the image is."""
        async with self._database.transaction() as session:
            entry = await ledger.find(session, orthanc_id)
        return entry is not None and (entry.state != State.SEEN or bool(entry.uploaders))


async def _claimed(session: AsyncSession, caller: Caller, asked: ImageToRegister) -> LedgerEntry | None:
    """The instance's row, held, if the caller may register it; its UIDs must be the ones given."""
    if asked.orthancInstanceId is None:
        entry = await ledger.find_by_sop(session, asked.sopInstanceUID, hold=True)
        if entry is None or not _may_claim(caller, entry):
            return None
        if entry.state == State.REGISTERED:
            return entry  # its record is what the request is held against: a 409 where they differ
    else:
        entry = await ledger.find(session, asked.orthancInstanceId, hold=True)
        if entry is None or entry.state == State.DELETED or not _may_claim(caller, entry):
            raise InvalidInput([_NOT_STORED])
    wrong = [
        FieldError(field, "is not the stored image's", "n'est pas celui de l'image stockée", given)
        for field, given, stored in (
            ("studyInstanceUID", asked.studyInstanceUID, entry.study_instance_uid),
            ("seriesInstanceUID", asked.seriesInstanceUID, entry.series_instance_uid),
            ("sopInstanceUID", asked.sopInstanceUID, entry.sop_instance_uid),
        )
        if given != stored
    ]
    if wrong:
        raise InvalidInput(wrong if await _may_be_told(session, caller, entry) else [_NOT_STORED])
    return entry


def _may_claim(caller: Caller, entry: LedgerEntry) -> bool:
    """Registered images are judged by their exam further on; others may be claimed by their uploaders."""
    return entry.state == State.REGISTERED or may_see_unregistered(caller, entry.uploaders)


async def _may_be_told(session: AsyncSession, caller: Caller, entry: LedgerEntry) -> bool:
    """Whether the caller may know which UIDs the instance has; else it does not exist, registered or not."""
    _, exam = await record_of(session, entry.orthanc_id)
    return may_follow_instance(caller, exam.principals if exam else None, entry.uploaders)


async def _settle(session: AsyncSession, wanted: Registration, entry: LedgerEntry | None) -> Registered:
    image = await existing_image(session, wanted.sop_instance_uid)
    if image is None:
        made = await insert_image(session, wanted, entry)
        if made:
            return Registered(made, created=True)
        image = await existing_image(session, wanted.sop_instance_uid)
        assert image is not None, "a record that stood in the way is there"
    if entry is None and image.orthanc_id:  # its event was faster than this request by a moment
        entry = await ledger.find(session, image.orthanc_id, hold=True)
    _must_be_the_same(image, wanted, entry)
    if entry and image.orthanc_id is None:
        link_instance(session, image, entry, wanted.actor)
    elif entry and entry.registered_by == "event":
        fill_in(session, image, wanted, entry)
    return Registered(image, created=False)


def _must_be_the_same(image: Image, wanted: Registration, entry: LedgerEntry | None) -> None:
    if image.exam_id != wanted.exam_id:
        raise RegisteredElsewhere
    pairs = {
        "studyInstanceUID": (image.study_instance_uid, wanted.study_instance_uid),
        "seriesInstanceUID": (image.series_instance_uid, wanted.series_instance_uid),
    }
    if entry and image.orthanc_id:
        pairs["orthancInstanceId"] = (image.orthanc_id, entry.orthanc_id)
    other = [field for field, (held, given) in pairs.items() if held != given]
    if other:
        raise UidInUse(fields=", ".join(other))
