"""The JSON of the audit trail: who did what to an exam, and the hash chain that proves it."""

from pydantic import BaseModel, Field

from services.registration_service.models import AuditEvent
from shared.timestamps import Timestamp


class Access(BaseModel):
    """One record, and the service that kept it; the fields are those of `audit.recorded`."""

    recordId: str
    time: Timestamp
    service: str
    actor: str
    action: str
    outcome: str
    examenID: str | None
    subject: str | None
    reason: str | None
    correlationId: str | None
    remoteIP: str | None

    @classmethod
    def of(cls, row: AuditEvent) -> "Access":
        """The record as JSON shows it."""
        return cls(
            recordId=row.record_id,
            time=row.recorded_at,
            service=row.service,
            actor=row.actor,
            action=row.action,
            outcome=row.outcome,
            examenID=row.exam_id,
            subject=row.subject,
            reason=row.reason,
            correlationId=row.correlation_id,
            remoteIP=row.remote_ip,
        )


class AccessPage(BaseModel):
    """Some of an exam's records, newest first, and the cursor of those that follow."""

    items: list[Access]
    next: str | None


class ChainPlace(BaseModel):
    """A place in the chain: its number, and the hash (SHA-256, hex) there."""

    seq: int
    hash: str


class ChainAnchor(ChainPlace):
    """The head of the chain as it was written down outside the database."""

    at: Timestamp


class ChainPruning(ChainPlace):
    """The last place that was removed because it was older than `days`, and when."""

    at: Timestamp
    days: int


class ChainLink(ChainPlace):
    """A place and what its hash covers besides the hash before it; null where the record is gone."""

    record: dict[str, str] | None


class ChainPage(BaseModel):
    """Links in order; none are left where there are fewer than were asked for."""

    items: list[ChainLink]


class ChainState(BaseModel):
    """Where the chain begins and ends, and what is not in it."""

    head: ChainPlace
    pruning: ChainPruning | None
    unsealed: int = Field(description="records of the last moment, which are put into the chain next")
    outside: list[str] = Field(description="recordIds that stand in the trail for a minute, and not in the chain")
    anchors: list[ChainAnchor] = Field(description="of the replica that answers")
