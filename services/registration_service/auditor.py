"""Keeps the records of registration's own requests that change nothing themselves: reads, and what was refused."""

from collections import deque

from services.registration_service.audit import SERVICE
from services.registration_service.group_commit import GroupCommit
from shared.audited_route import RECORDS
from shared.events import AuditRecord

LATER_AT_MOST = 1000  # records of strangers that wait to be added


class DatabaseAuditor:
    """Adds them to the database, which is here."""

    def __init__(self, records: GroupCommit) -> None:
        self._records = records
        self._later: deque[AuditRecord] = deque(maxlen=LATER_AT_MOST)

    async def record(self, record: AuditRecord, *, must: bool = True) -> None:
        """Return once it is committed. Raises DatabaseAway.

        One that need not be kept holds nobody up: it is added with others a moment later, and the oldest are lost
        where there are too many.
        """
        if not must:
            if len(self._later) == LATER_AT_MOST:
                RECORDS.labels("dropped").inc()
            self._later.append(record)
            return
        await self._records.add([record], SERVICE)
        RECORDS.labels("confirmed").inc()

    async def add_later(self) -> None:
        """Add what was left for later."""
        records = [self._later.popleft() for _ in range(len(self._later))]
        if records:
            await self._records.add(records, SERVICE)
            RECORDS.labels("confirmed").inc(len(records))
