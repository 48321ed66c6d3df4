"""The audit trail's one way in: a row is added in the transaction of what it tells, and never changed."""

from sqlalchemy.ext.asyncio import AsyncSession

from services.registration_service.models import AuditEvent
from shared.correlation import correlation_id


def append(
    session: AsyncSession,
    *,
    actor: str,
    action: str,
    outcome: str,
    exam_id: str | None = None,
    subject: str | None = None,
    reason: str | None = None,
) -> None:
    """Add one record: who (`actor`) did what (`action`) to which exam and image (`subject`), how it ended, and why."""
    session.add(
        AuditEvent(
            actor=actor,
            action=action,
            outcome=outcome,
            exam_id=exam_id,
            subject=subject,
            reason=reason,
            correlation_id=correlation_id.get(),
        )
    )
