"""Advisory locks that keep an image looking for its exam and an exam looking for its images from missing each other.

Images share the lock among themselves; an exam's upsert holds it alone. It is taken before any row is locked.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_SHARED = text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:key, 0))")
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")


async def lock_for_image(session: AsyncSession, exam_id: str | None, accession_number: str | None) -> None:
    """Hold back upserts of the exam that this image may belong to, until the transaction ends."""
    for key in _keys(exam_id, accession_number):
        await session.execute(_SHARED, {"key": key})


async def lock_for_exam(session: AsyncSession, exam_id: str, accession_number: str | None) -> None:
    """Hold back images that may belong to this exam, until the transaction ends."""
    for key in _keys(exam_id, accession_number):
        await session.execute(_ALONE, {"key": key})


def _keys(exam_id: str | None, accession_number: str | None) -> list[str]:
    """In one order everywhere, or two transactions could wait for each other."""
    named = {"accession": accession_number, "exam": exam_id}
    return sorted(f"{kind}:{value}" for kind, value in named.items() if value)
