"""Audit records of several messages and requests in one transaction: what comes while one is under way is in the next.

A commit costs the disk as much for one record as for a thousand, and views wait for it in a row.
"""

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import Histogram

from services.registration_service.audit import told
from services.registration_service.database import Database
from shared.errors import DatabaseAway
from shared.events import AuditRecord

TOGETHER = Histogram(
    "examflow_audit_committed_records",
    "Audit records in one transaction",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)


@dataclass(eq=False)
class _Told:
    records: Sequence[AuditRecord]
    service: str
    done: asyncio.Event = field(default_factory=asyncio.Event)
    alone: bool = False  # in a batch, some record was refused: perhaps one of these


class GroupCommit:
    """Adds records. There is no limit of its own: each caller waits, and they are limited."""

    def __init__(self, database: Database, most: int, gather_seconds: float = 0.0) -> None:
        self._database = database
        self._most = most
        self._gather_seconds = gather_seconds
        self._turn = asyncio.Lock()
        self._waiting: deque[_Told] = deque()

    async def add(self, records: Sequence[AuditRecord], service: str, *, waited_for: bool = True) -> None:
        """Return once they are committed. Raises DatabaseAway, or what PostgreSQL has against one of these.

        Nobody waits for those of a message, which the broker holds meanwhile: they wait for others.
        """
        mine = _Told(records, service)
        self._waiting.append(mine)
        try:
            if not waited_for:
                await self._gather(mine)
            async with self._turn:
                if not mine.done.is_set():
                    await self._commit(mine)
        finally:
            self._waiting.remove(mine)

    async def _gather(self, mine: _Told) -> None:
        """Wait for others, or until one of them has committed these as well."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._gather_seconds):
                await mine.done.wait()

    async def _commit(self, mine: _Told) -> None:
        """These, and others that wait. Should who began it leave, the others are not done, and one of them goes on."""
        batch = [mine] if mine.alone else self._batch(mine)
        try:
            await self._added(batch)
        except DatabaseAway:
            raise
        except Exception:
            if len(batch) == 1:
                raise
            for one in batch:
                one.alone = True
            await self._added([mine])
        else:
            for one in batch:
                one.done.set()

    def _batch(self, mine: _Told) -> list[_Told]:
        batch, records = [mine], len(mine.records)
        for one in self._waiting:
            if one is mine or one.done.is_set() or one.alone:
                continue
            records += len(one.records)
            if records > self._most:
                break
            batch.append(one)
        return batch

    async def _added(self, batch: Sequence[_Told]) -> None:
        by_service: defaultdict[str, list[AuditRecord]] = defaultdict(list)
        for one in batch:
            by_service[one.service] += one.records
        async with self._database.transaction() as session:
            for service, records in by_service.items():
                await told(session, records, service)
        TOGETHER.observe(sum(len(one.records) for one in batch))
