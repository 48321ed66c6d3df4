"""Partners, made and removed by the operators' command as a shell runs it."""

import contextlib
import os
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aio_pika
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractChannel

from deploy.local.layout import REPO
from deploy.local.system import System
from shared.events import CONTENT_TYPE, EventData
from shared.events import Event as AnyEvent
from tests.integration import scratch
from tests.integration.queues import send


def examflow(env: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """The command `examflow` with these addresses."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("EXAMFLOW", "RABBITMQ"))}
    return subprocess.run(
        [sys.executable, "-m", "services.operator", *words],
        cwd=REPO,
        env=clean | dict(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@dataclass(frozen=True)
class Partner:
    """A partner, and what the command said when it was made."""

    name: str
    url: str
    said: str

    @property
    def queue(self) -> str:
        return f"partner.{self.name}"

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """A confirming channel; a returned message is an error."""
        connection = await aio_pika.connect(self.url, timeout=5)
        async with connection:
            yield await connection.channel(on_return_raises=True)

    async def publish(self, body: bytes, key: str, **properties: Any) -> str:
        """As docs/partners.md says; returns the message_id."""
        usual = {"user_id": self.name, "content_type": CONTENT_TYPE, "delivery_mode": DeliveryMode.PERSISTENT}
        async with self.channel() as channel:
            return await send(channel, body, key, "medical-images", **(usual | properties))

    async def tell(self, data: EventData, subject: str, **properties: Any) -> str:
        event = AnyEvent.about(data, source=f"/partner/{self.name}", subject=subject, correlation_id="corr-partner")
        return await self.publish(event.model_dump_json(by_alias=True).encode(), event.type, **properties)


@contextlib.contextmanager
def partner(env: Mapping[str, str], *options: str) -> Iterator[Partner]:
    """A partner for a test, gone afterwards."""
    name = f"p-{uuid.uuid4().hex[:12]}"
    done = examflow(env, "partner", "add", name, *options)
    try:
        assert done.returncode == 0, done.stderr
        yield Partner(name, url_in(done.stdout), done.stdout)
    finally:
        examflow(env, "partner", "remove", name, "--force")


def url_in(said: str) -> str:
    """The address that a new partner is told."""
    found = re.search(r"amqp://\S+", said)
    assert found, said
    return found[0]


async def audited(system: System, exam: str) -> list[tuple[Any, ...]]:
    """What the running service's audit trail says of an exam: actor, action, outcome, correlation id."""
    query = "SELECT actor, action, outcome, correlation_id FROM audit_events WHERE exam_id = :exam ORDER BY id"
    return await scratch.fetch(system, "examflow", query, exam=exam)
