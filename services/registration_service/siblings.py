"""The images that are likely to be looked at next: a block of the same series and exam, told with the one asked for.

Blocks do not overlap and are the same whichever of their images is asked for, so a viewer that scrolls, forwards or
backwards, asks once for each.
"""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service.internal_schemas import Sibling
from services.registration_service.ledger import State
from services.registration_service.models import Image, LedgerEntry


async def siblings(session: AsyncSession, entry: LedgerEntry, exam_id: str, block: int) -> list[Sibling]:
    """The other registered images of its block, which holds so many; in the order in which they came."""
    place = func.row_number().over(order_by=(LedgerEntry.first_seen, LedgerEntry.orthanc_id)) - 1
    columns = (
        LedgerEntry.orthanc_id,
        LedgerEntry.sop_instance_uid,
        LedgerEntry.digest,
        LedgerEntry.modality,
        LedgerEntry.uploaders,
    )
    images = (
        select(*columns, (place // block).label("block"))
        .join(Image, Image.orthanc_id == LedgerEntry.orthanc_id)
        .where(
            LedgerEntry.study_instance_uid == entry.study_instance_uid,
            LedgerEntry.series_instance_uid == entry.series_instance_uid,
            LedgerEntry.state == State.REGISTERED,
            Image.exam_id == exam_id,
        )
        .cte()
    )
    its = select(images.c.block).where(images.c.orthanc_id == entry.orthanc_id).scalar_subquery()
    query = select(images).where(images.c.block == its, images.c.orthanc_id != entry.orthanc_id)
    return [
        Sibling(
            orthancInstanceId=row.orthanc_id,
            sopInstanceUID=row.sop_instance_uid,
            digest=row.digest,
            modality=row.modality,
            uploaders=row.uploaders,
        )
        for row in await session.execute(query)
    ]
