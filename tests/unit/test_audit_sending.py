"""A service's audit records: shared messages, one confirm, the disk while the broker is away, and never a lost one."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.audit_sending import AuditSending
from shared.audit_spool import Spool
from shared.errors import AuditAway, BrokerAway
from shared.events import AuditRecord
from shared.settings import AuditSettings


class Broker:
    """Stands where the publisher does; tests/integration/test_audit_sending.py has the real one."""

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []
        self.away = False
        self.silent = asyncio.Event()
        self.silent.set()

    async def publish_raw(self, body: bytes, routing_key: str, **_: Any) -> None:
        assert routing_key == "audit.recorded"
        await self.silent.wait()
        if self.away:
            raise BrokerAway
        self.published.append(json.loads(body))

    @property
    def records(self) -> list[str]:
        return [record["action"] for event in self.published for record in event["data"]["records"]]


def one(action: str = "image.view") -> AuditRecord:
    return AuditRecord(action=action, outcome="done")


@pytest.fixture
def settings(tmp_path: Path) -> AuditSettings:
    return AuditSettings(spool=tmp_path, drain_seconds=0.05, spool_bytes=10_000, waiting=100)


@contextlib.asynccontextmanager
async def sending(broker: Broker, settings: AuditSettings) -> AsyncIterator[AuditSending]:
    made = AuditSending("preview", broker, settings)  # type: ignore[arg-type]
    async with made.running():
        yield made


async def test_a_request_goes_on_when_its_record_is_confirmed_and_not_before(settings: AuditSettings) -> None:
    broker = Broker()
    broker.silent.clear()
    async with sending(broker, settings) as audit:
        request = asyncio.create_task(audit.record(one()))
        await asyncio.sleep(0.05)
        assert not request.done()
        broker.silent.set()
        await asyncio.wait_for(request, 5)
    assert broker.records == ["image.view"]
    assert broker.published[0]["source"] == "/examflow/preview"


async def test_requests_in_flight_share_a_message(settings: AuditSettings) -> None:
    broker = Broker()
    broker.silent.clear()
    async with sending(broker, settings) as audit:
        requests = [asyncio.create_task(audit.record(one(f"view.{n}"))) for n in range(50)]
        await asyncio.sleep(0.05)
        broker.silent.set()
        await asyncio.wait_for(asyncio.gather(*requests), 5)
    assert sorted(broker.records) == sorted(f"view.{n}" for n in range(50))
    assert len(broker.published) <= 2


async def test_a_few_messages_wait_for_their_confirms_at_once(settings: AuditSettings) -> None:
    broker = Broker()
    broker.silent.clear()
    async with sending(broker, settings.model_copy(update={"messages": 3})) as audit:
        requests = []
        for n in range(6):
            requests.append(asyncio.create_task(audit.record(one(f"view.{n}"))))
            await asyncio.sleep(0.01)
        broker.silent.set()
        await asyncio.wait_for(asyncio.gather(*requests), 5)
    assert [len(event["data"]["records"]) for event in broker.published] == [1, 1, 1, 3]


async def test_while_the_broker_is_away_records_are_on_the_disk_and_drain_later(settings: AuditSettings) -> None:
    broker = Broker()
    broker.away = True
    async with sending(broker, settings) as audit:
        await asyncio.wait_for(asyncio.gather(*(audit.record(one(f"view.{n}")) for n in range(5))), 5)
        assert Spool(settings.spool / "preview.sqlite", 10_000).held()[0] >= 1
        broker.away = False
        while len(broker.records) < 5:
            await asyncio.sleep(0.01)
        while audit._away:
            await asyncio.sleep(0.01)
        await audit.record(one("after"))
        assert Spool(settings.spool / "preview.sqlite", 10_000).held() == (0, 0)
    assert sorted(broker.records) == ["after", *(f"view.{n}" for n in range(5))]


async def test_what_is_on_the_disk_survives_the_process(settings: AuditSettings) -> None:
    broker = Broker()
    broker.away = True
    async with sending(broker, settings) as audit:
        await audit.record(one("before the crash"))
    broker.away = False
    async with sending(broker, settings):
        while not broker.records:
            await asyncio.sleep(0.01)
    assert broker.records == ["before the crash"]


async def test_a_full_disk_spool_refuses(settings: AuditSettings) -> None:
    broker = Broker()
    broker.away = True
    async with sending(broker, settings) as audit:
        tried = await asyncio.wait_for(asyncio.gather(*(_one_by_one(audit) for _ in range(3))), 20)
        assert any(tried)
        broker.away = False
        while Spool(settings.spool / "preview.sqlite", 10_000).held() != (0, 0):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        await asyncio.wait_for(audit.record(one("again")), 5)


async def _one_by_one(audit: AuditSending) -> bool:
    """Whether one of many records was refused: each is a message of its own."""
    for _ in range(50):
        try:
            await audit.record(one())
        except AuditAway:
            return True
    return False


async def test_a_spool_that_cannot_be_written_refuses(settings: AuditSettings) -> None:
    (settings.spool / "preview.sqlite").mkdir()
    broker = Broker()
    broker.away = True
    async with sending(broker, settings) as audit:
        with pytest.raises(AuditAway):
            await asyncio.wait_for(audit.record(one()), 5)


async def test_more_than_may_wait_is_refused(settings: AuditSettings) -> None:
    broker = Broker()
    broker.silent.clear()
    async with sending(broker, settings.model_copy(update={"waiting": 3, "messages": 1})) as audit:
        first = asyncio.create_task(audit.record(one("first")))
        await asyncio.sleep(0.02)  # it is being sent, and waits no more
        waiting = [asyncio.create_task(audit.record(one())) for _ in range(3)]
        await asyncio.sleep(0.02)
        with pytest.raises(AuditAway):
            await audit.record(one())
        broker.silent.set()
        await asyncio.wait_for(asyncio.gather(first, *waiting), 5)


async def test_async_waits_for_nothing(settings: AuditSettings) -> None:
    broker = Broker()
    broker.silent.clear()
    async with sending(broker, settings.model_copy(update={"mode": "async"})) as audit:
        await asyncio.wait_for(audit.record(one()), 0.5)
        assert broker.records == []
        broker.silent.set()
    assert broker.records == ["image.view"]  # a graceful end loses nothing


async def test_what_strangers_try_is_neither_waited_for_nor_put_on_the_disk(settings: AuditSettings) -> None:
    broker = Broker()
    broker.away = True
    async with sending(broker, settings) as audit:
        await asyncio.wait_for(audit.record(one("stranger"), must=False), 0.5)
        await asyncio.wait_for(audit.record(one("viewer")), 5)
        broker.away = False
        while not broker.records:
            await asyncio.sleep(0.01)
    assert broker.records == ["viewer"]


async def test_without_its_background_work_nothing_is_let_through(settings: AuditSettings) -> None:
    with pytest.raises(AuditAway):
        await AuditSending("preview", Broker(), settings).record(one())  # type: ignore[arg-type]


def test_who_only_looks_at_a_spool_leaves_no_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "deep" / "preview.sqlite", 10_000)
    assert spool.held() == (0, 0)
    assert spool.oldest(5) == ()
    assert list(tmp_path.iterdir()) == []
    spool.add(b"one")
    assert Spool(tmp_path / "deep" / "preview.sqlite", 10_000).held() == (1, 3)


def test_a_spool_that_cannot_even_be_looked_at_says_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path / ("x" * 300), 10_000)
    for look in (spool.held, lambda: spool.oldest(1)):
        with pytest.raises(AuditAway):
            look()
