"""What makes an image record: one for each SOP Instance UID, whoever comes first, and the first exam holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningInsert
from uuid_utils import uuid7

from services.registration_service import audit, outbox
from services.registration_service.ledger import State
from services.registration_service.models import Image, LedgerEntry
from shared.events import ImageRegistered

UNKNOWN_MODALITY = "UNKNOWN"


@dataclass(frozen=True)
class Registration:
    """An image that is to be registered: its exam, its UIDs, and what is said about it."""

    exam_id: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    acquired_at: datetime
    modalite: str
    description: str
    url: str | None
    by: Literal["http", "event"]
    actor: str

    @property
    def link(self) -> str:
        """The url given, or the image's own address."""
        return self.url or f"/dicom/wado/{self.sop_instance_uid}"


async def existing_image(session: AsyncSession, sop_instance_uid: str) -> Image | None:
    """The record of a SOP Instance UID, held until the transaction ends."""
    return await session.scalar(select(Image).where(Image.sop_instance_uid == sop_instance_uid).with_for_update())


async def existing_images(session: AsyncSession, entries: Sequence[LedgerEntry]) -> dict[str, Image]:
    """The records of the images' SOP Instance UIDs, by these, held until the transaction ends."""
    uids = {entry.sop_instance_uid for entry in entries}
    held = select(Image).where(Image.sop_instance_uid.in_(uids)).order_by(Image.image_id).with_for_update()
    return {image.sop_instance_uid: image for image in await session.scalars(held)}


async def insert_image(session: AsyncSession, wanted: Registration, entry: LedgerEntry | None) -> Image | None:
    """Make the record and tell of it; None where another transaction has just made one."""
    made: Image | None = await session.scalar(_inserted([_row(wanted, entry)]))
    if made is not None:
        _tell_made(session, made, wanted, entry)
    return made


async def insert_images(session: AsyncSession, wanted: Sequence[tuple[Registration, LedgerEntry]]) -> set[str]:
    """The same for several stored images; returns the Orthanc ids of those whose record was made."""
    if not wanted:
        return set()
    made = await session.scalars(_inserted([_row(registration, entry) for registration, entry in wanted]))
    by_orthanc_id = {image.orthanc_id: image for image in made}
    for registration, entry in wanted:
        if entry.orthanc_id in by_orthanc_id:
            _tell_made(session, by_orthanc_id[entry.orthanc_id], registration, entry)
    return {entry.orthanc_id for _, entry in wanted} & by_orthanc_id.keys()


def _row(wanted: Registration, entry: LedgerEntry | None) -> dict[str, Any]:
    return {
        "image_id": str(uuid7()),
        "exam_id": wanted.exam_id,
        "study_instance_uid": wanted.study_instance_uid,
        "series_instance_uid": wanted.series_instance_uid,
        "sop_instance_uid": wanted.sop_instance_uid,
        "acquired_at": wanted.acquired_at,
        "modalite": wanted.modalite,
        "description": wanted.description,
        "url": wanted.link,
        "orthanc_id": entry.orthanc_id if entry else None,
    }


def _inserted(rows: list[dict[str, Any]]) -> ReturningInsert[Image]:
    """In one order, against deadlocks; nothing for those whose SOP Instance UID has a record."""
    ordered = sorted(rows, key=lambda row: str(row["sop_instance_uid"]))
    return (
        insert(Image).values(ordered).on_conflict_do_nothing(index_elements=[Image.sop_instance_uid]).returning(Image)
    )


def _tell_made(session: AsyncSession, made: Image, wanted: Registration, entry: LedgerEntry | None) -> None:
    if entry is not None:
        mark_registered(entry, wanted.by)
    tell_registered(session, made, created=True)
    _audit(session, made, wanted.actor, "created")


def fill_in(session: AsyncSession, image: Image, wanted: Registration, entry: LedgerEntry) -> None:
    """What the first HTTP registration adds to a record that an event made."""
    image.description, image.url = wanted.description, wanted.link
    image.acquired_at, image.modalite = wanted.acquired_at, wanted.modalite
    mark_registered(entry, "http")
    tell_registered(session, image, created=False)
    _audit(session, image, wanted.actor, "filled-in")


def describe(session: AsyncSession, image: Image, description: str, actor: str) -> None:
    """What the first upload that names its exam adds to a record that was made without it."""
    image.description = description
    tell_registered(session, image, created=False)
    _audit(session, image, actor, "filled-in")


def link_instance(session: AsyncSession, image: Image, entry: LedgerEntry, actor: str) -> None:
    """Give a record that HTTP made before its file arrived the instance it was waiting for."""
    image.orthanc_id = entry.orthanc_id
    mark_registered(entry, "http")
    tell_registered(session, image, created=False)
    _audit(session, image, actor, "linked")


def mark_registered(entry: LedgerEntry, by: str) -> None:
    """The ledger says that the instance is registered, and by which door: http or event."""
    entry.state, entry.code, entry.reason, entry.registered_by = State.REGISTERED, None, None, by
    entry.decided_at = datetime.now(UTC)


def tell_registered(session: AsyncSession, image: Image, *, created: bool) -> None:
    """Announce the record."""
    outbox.say(
        session,
        ImageRegistered(
            image_id=image.image_id,
            examen_id=image.exam_id,
            study_instance_uid=image.study_instance_uid,
            series_instance_uid=image.series_instance_uid,
            sop_instance_uid=image.sop_instance_uid,
            orthanc_instance_id=image.orthanc_id,
            date_acquisition=image.acquired_at,
            modalite=image.modalite,
            url=image.url,
            created=created,
        ),
        image.orthanc_id or image.sop_instance_uid,
    )


def _audit(session: AsyncSession, image: Image, actor: str, outcome: str) -> None:
    audit.append(
        session,
        actor=actor,
        action="image.register",
        outcome=outcome,
        exam_id=image.exam_id,
        subject=image.sop_instance_uid,
    )
