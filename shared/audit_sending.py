"""Sends a service's audit records: those of requests in flight share one message and one confirm.

Strict: a request goes on once the broker has confirmed its record or, while the broker is away, once it is on this
machine's disk. Async: it goes on at once, and a crash loses what was not sent yet.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog
from prometheus_client import Gauge

from shared.audit_spool import Spool
from shared.audited_route import RECORDS
from shared.broker import Publisher
from shared.errors import AuditAway, BrokerAway
from shared.events import AUDIT_RECORDS_AT_ONCE, AuditRecord, AuditRecorded, Event
from shared.settings import AuditSettings

log = structlog.get_logger()

_DRAINED_AT_ONCE = 50  # messages read from the disk at once

SPOOLED = Gauge("examflow_audit_spool_messages", "Messages with audit records that wait on the disk for the broker")
SPOOLED_BYTES = Gauge("examflow_audit_spool_bytes", "Their bytes")


@dataclass
class _Waiting:
    record: AuditRecord
    kept: "asyncio.Future[None] | None"  # None: nobody waits for it
    must: bool


class AuditSending:
    """Keeps the records of one service; `running` is its background work."""

    def __init__(self, service: str, publisher: Publisher, settings: AuditSettings) -> None:
        self._source = f"/examflow/{service}"
        self._publisher = publisher
        self._settings = settings
        self._spool = Spool(settings.spool / f"{service}.sqlite", settings.spool_bytes)
        self._waiting: deque[_Waiting] = deque()
        self._some = asyncio.Event()
        self._away = self._running = False

    async def record(self, record: AuditRecord, *, must: bool = True) -> None:
        """Return once the record is kept, as the mode demands. Raises AuditAway where it cannot be.

        One that need not be kept (`must` is False) is sent with the others, not waited for, and never put on the disk.
        """
        if len(self._waiting) >= self._settings.waiting or (must and not self._running):
            RECORDS.labels("refused" if must else "dropped").inc()
            if must:
                raise AuditAway
            return
        waits = must and self._settings.mode == "strict"
        kept = asyncio.get_running_loop().create_future() if waits else None
        self._waiting.append(_Waiting(record, kept, must))
        self._some.set()
        if kept is not None:
            await kept

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send in the background; at the end, what is left is sent or put on the disk."""
        self._running = True
        sending, draining = asyncio.create_task(self._send_on()), asyncio.create_task(self._drain_on())
        try:
            yield
        finally:
            draining.cancel()
            self._running = False
            self._some.set()
            await asyncio.gather(sending, draining, return_exceptions=True)
            await asyncio.to_thread(self._spool.close)

    async def _send_on(self) -> None:
        """What comes while all messages are on their way is gathered for the next one."""
        flying: set[asyncio.Task[None]] = set()
        while self._waiting or self._running:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                if len(flying) >= self._settings.messages:
                    _, flying = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
                flying.add(asyncio.create_task(self._keep(self._taken())))
        if flying:
            await asyncio.wait(flying)

    def _taken(self) -> list[_Waiting]:
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), AUDIT_RECORDS_AT_ONCE))]

    async def _keep(self, batch: list[_Waiting]) -> None:
        """Tell each of the batch's requests how it went; nothing that happens here ends the sending of others."""
        trouble: Exception | None = None
        try:
            await self._sent_or_spooled(batch)
        except Exception as error:  # noqa: BLE001  # told to those who wait, and logged
            trouble = error if isinstance(error, AuditAway) else AuditAway()
            RECORDS.labels("refused").inc(len(batch))
            log.error("audit.unkept", records=len(batch), kind=type(error).__name__, why=str(error)[:200])
        for one in batch:
            if one.kept is not None and not one.kept.done():
                one.kept.set_exception(trouble) if trouble else one.kept.set_result(None)

    async def _sent_or_spooled(self, batch: list[_Waiting]) -> None:
        if not self._away:
            try:
                await self._publish(self._body([one.record for one in batch]))
            except BrokerAway:
                self._away = True
                log.warning("audit.spooling", why="the broker does not confirm")
            else:
                RECORDS.labels("confirmed").inc(len(batch))
                return
        must = [one.record for one in batch if one.must]
        RECORDS.labels("dropped").inc(len(batch) - len(must))
        if must:
            await asyncio.to_thread(self._spool.add, self._body(must))
            RECORDS.labels("spooled").inc(len(must))

    def _body(self, records: list[AuditRecord]) -> bytes:
        told = AuditRecorded(records=records)
        event = Event.about(told, source=self._source, subject="audit", correlation_id=None)
        return event.model_dump_json(by_alias=True).encode()

    async def _publish(self, body: bytes) -> None:
        await self._publisher.publish_raw(
            body,
            AuditRecorded.event_type,
            message_id=str(json.loads(body)["id"]),
            correlation_id=None,
            mandatory=True,
        )

    async def _drain_on(self) -> None:
        """Publish what is on the disk, oldest first, each until it is confirmed; then the broker counts as back."""
        while True:
            try:
                await self._drain()
            except (BrokerAway, AuditAway) as error:
                log.warning("audit.waits", why=error.code, again_in_seconds=self._settings.drain_seconds)
            await asyncio.sleep(self._settings.drain_seconds)

    async def _drain(self) -> None:
        while True:
            messages, held = await asyncio.to_thread(self._spool.held)
            SPOOLED.set(messages)
            SPOOLED_BYTES.set(held)
            if not messages:
                self._away = False
                return
            for number, body in await asyncio.to_thread(self._spool.oldest, _DRAINED_AT_ONCE):
                await self._publish(body)
                await asyncio.to_thread(self._spool.remove, number)
