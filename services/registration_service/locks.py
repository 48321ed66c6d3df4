"""Advisory locks that keep an image looking for its exam and an exam looking for its images from missing each other.

Images share the lock among themselves; an exam's upsert holds it alone. It is taken before any row is locked.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_SHARED = text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:key, 0))")
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")


async def lock_for_image(session: AsyncSession, exam_id: str | None, accession_number: str | None) -> None:
    """Hold back upserts of the exam that this image may belong to, until the transaction ends."""
    for key in [*_exam(exam_id), *_accessions(accession_number)]:
        await session.execute(_SHARED, {"key": key})


async def lock_for_exam(session: AsyncSession, exam_id: str) -> None:
    """Hold back every other upsert of this exam and images that name it, until the transaction ends."""
    for key in _exam(exam_id):
        await session.execute(_ALONE, {"key": key})


async def lock_for_accessions(session: AsyncSession, *accession_numbers: str | None) -> None:
    """Hold back images with these accession numbers; after `lock_for_exam`, never before."""
    for key in _accessions(*accession_numbers):
        await session.execute(_ALONE, {"key": key})


# In one order everywhere (the exam, then accession numbers, sorted), or two transactions could wait for each other.
def _exam(exam_id: str | None) -> list[str]:
    return [f"exam:{exam_id}"] if exam_id else []


def _accessions(*numbers: str | None) -> list[str]:
    return sorted({f"accession:{number}" for number in numbers if number})
