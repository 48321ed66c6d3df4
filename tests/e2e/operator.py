"""The command `examflow` as an operator runs it, and messages as another system publishes them."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from typing import Any

import aio_pika

from tests.running import Running

EXAMFLOW = [sys.executable, "-m", "services.operator"]


def environment(running: Running, scope: str = "ops") -> dict[str, str]:
    """Where the command finds the system, and a token."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("EXAMFLOW")}
    token = running.token("olga", scope)
    return known | {"EXAMFLOW_URL": running.env["EXAMFLOW_URL"], "EXAMFLOW_TOKEN": token, "COLUMNS": "200"}


def examflow(
    running: Running, *command: str, text: str | None = None, scope: str = "ops"
) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [*EXAMFLOW, *command],
        env=environment(running, scope),
        input=text or "",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def publish(running: Running, event: dict[str, Any] | bytes, user: str = "admin") -> str:
    """Publish to the exchange as the broker's administrator, who is nobody's partner; returns the message_id."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return asyncio.run(_publish(running.env["RABBITMQ_URL"], body, user))


async def _publish(url: str, body: bytes, user: str) -> str:
    message_id = str(uuid.uuid4())
    async with await aio_pika.connect(url, timeout=5) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("medical-images", ensure=False)
        message = aio_pika.Message(
            body, message_id=message_id, user_id=user, content_type="application/cloudevents+json"
        )
        await exchange.publish(message, "dicom.stored")
    return message_id
