"""Registers what waits for an exam that is there. The locks leave nothing to it: what it finds counts as a fault.

Except an image whose record HTTP made, without naming the instance, at the very moment of its event: neither saw the
other.
"""

import structlog
from prometheus_client import Counter
from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service import ledger
from services.registration_service.database import Database
from services.registration_service.intake import decide
from services.registration_service.ledger import State
from services.registration_service.locks import lock_for_image
from services.registration_service.models import Exam, Image, LedgerEntry
from services.registration_service.settings import ReconcilerSettings

log = structlog.get_logger()

SWEPT = Counter("examflow_sweep_registered", "Images registered only by the sweep: each is a fault elsewhere")


class Sweep:
    """Looks for images that an upsert of their exam should have decided about."""

    def __init__(self, database: Database, settings: ReconcilerSettings) -> None:
        self._database = database
        self._batch = settings.sweep_batch

    async def sweep(self) -> None:
        """Decide anew about each of them, in a transaction of its own."""
        async with self._database.transaction() as session:
            overlooked = (await session.execute(_overlooked().limit(self._batch))).all()
        for orthanc_id, exam_id, accession_number in overlooked:
            async with self._database.transaction() as session:
                await lock_for_image(session, exam_id, accession_number)
                await _decide(session, orthanc_id)


async def _decide(session: AsyncSession, orthanc_id: str) -> None:
    entry = await ledger.find(session, orthanc_id, hold=True)
    if entry is None or entry.state != State.WAITING:
        return
    await decide(session, entry)
    if entry.state == State.REGISTERED:
        SWEPT.inc()
        log.error("image.swept", orthanc_id=orthanc_id, exam=entry.wanted_exam_id)


def _overlooked() -> Select[str, str | None, str | None]:
    """Images whose reason for waiting is no longer true, by the exams that are open now."""
    row = LedgerEntry
    named = select(Exam.exam_id).where(Exam.exam_id == row.wanted_exam_id).exists()
    exams = select(func.count()).where(Exam.accession_number == row.accession_number).scalar_subquery()
    recorded = (
        select(Image.image_id)
        .where(Image.sop_instance_uid == row.sop_instance_uid, Image.orthanc_id.is_(None))
        .exists()
    )
    untrue = or_(
        recorded,
        and_(row.code == "exam-unknown", named),
        and_(row.code == "accession-unknown", exams > 0),
        and_(row.code == "accession-ambiguous", exams == 1),
    )
    columns = select(row.orthanc_id, row.wanted_exam_id, row.accession_number)
    return columns.where(row.state == State.WAITING, untrue).order_by(row.first_seen)
