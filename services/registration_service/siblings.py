"""The images that are likely to be looked at next: a block of the same series and exam, told with the one asked for.

Blocks do not overlap and are the same whichever of their images is asked for, so a viewer that scrolls, forwards or
backwards, asks once for each.
"""

from sqlalchemy import Integer, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service.internal_schemas import Sibling
from services.registration_service.ledger import State
from services.registration_service.models import Image, LedgerEntry

_NUMBER = func.row_number().over(order_by=(LedgerEntry.first_seen, LedgerEntry.orthanc_id)) - 1
_IMAGES = (
    select(
        LedgerEntry.orthanc_id,
        LedgerEntry.sop_instance_uid,
        LedgerEntry.uploaders,
        LedgerEntry.digest,
        LedgerEntry.modality,
        (_NUMBER // bindparam("block", type_=Integer)).label("block"),
    )
    .join(Image, Image.orthanc_id == LedgerEntry.orthanc_id)
    .where(
        LedgerEntry.study_instance_uid == bindparam("study"),
        LedgerEntry.series_instance_uid == bindparam("series"),
        LedgerEntry.state == State.REGISTERED,
        Image.exam_id == bindparam("exam"),
    )
    .cte()
)
_ITS_BLOCK = select(_IMAGES.c.block).where(_IMAGES.c.orthanc_id == bindparam("asked")).scalar_subquery()
# Made once, not for each question.
_SIBLINGS = select(*list(_IMAGES.c)[:5]).where(
    _IMAGES.c.block == _ITS_BLOCK, _IMAGES.c.orthanc_id != bindparam("asked")
)


async def siblings(session: AsyncSession, entry: LedgerEntry, exam_id: str, block: int) -> list[Sibling]:
    """The other registered images of its block, which holds so many."""
    connection = await session.connection()
    found = await connection.execute(
        _SIBLINGS,
        {
            "asked": entry.orthanc_id,
            "study": entry.study_instance_uid,
            "series": entry.series_instance_uid,
            "exam": exam_id,
            "block": block,
        },
    )
    return [
        Sibling(orthancInstanceId=orthanc_id, sopInstanceUID=sop, uploaders=uploaders, digest=digest, modality=modality)
        for orthanc_id, sop, uploaders, digest, modality in found
    ]
