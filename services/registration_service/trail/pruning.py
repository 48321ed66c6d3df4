"""Removes audit records that are older than the retention, from the beginning of the chain, and tells of it in it."""

import structlog
from sqlalchemy import select, text

from services.registration_service import audit
from services.registration_service.database import Database
from services.registration_service.models import AuditPruning
from shared.audit_chain import PRUNED_ACTION, Place, pruned_subject

log = structlog.get_logger()

ACTOR = "examflow"
_PRUNE = text("SELECT * FROM audit_prune(:at_most)")


class Pruning:
    """Prunes. What may go is decided by the database's function `audit_prune`, which this service cannot change."""

    def __init__(self, database: Database, batch: int) -> None:
        self._database = database
        self._batch = batch

    async def prune(self) -> None:
        """Remove what is too old, a batch at a time; the chain's last place always stays."""
        while await self._prune_some():
            pass

    async def _prune_some(self) -> bool:
        async with self._database.transaction() as session:
            done = await session.scalar(select(AuditPruning).from_statement(_PRUNE), {"at_most": self._batch})
            if done is None:
                return False
            audit.append(
                session,
                actor=ACTOR,
                action=PRUNED_ACTION,
                outcome="pruned",
                subject=pruned_subject(Place(done.to_seq, done.hash)),
                reason=f"{done.records} records older than {done.days} days",
            )
        log.info("audit.pruned", to_seq=done.to_seq, records=done.records)
        return True
