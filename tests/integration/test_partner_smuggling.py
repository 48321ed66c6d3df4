"""RabbitMQ delivers a message to further queues by its headers CC and BCC: nothing gets past us by that."""

import json
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused

from deploy.local.system import System
from services.registration_service.consumers import EXAM_QUEUE
from shared.events import ExamUpserted
from tests.integration import given
from tests.integration.partners import audited, partner
from tests.integration.queues import dead_letters, own_queue, send, soon, take_by_id
from tests.running import Running


@pytest.mark.parametrize("header", ["CC", "BCC"])
async def test_nothing_is_smuggled_past_the_routing_key(
    running: Running, system: System, admin: AbstractChannel, header: str
) -> None:
    """RabbitMQ 3.10 delivers by these headers without asking whether that is allowed; newer ones ask."""
    exam = given.name()
    wanted = ExamUpserted(examen_id=exam, version=1)
    event = given.event(given.image()).model_dump(mode="json") | {
        "type": "exam.upserted",
        "data": wanted.model_dump(by_alias=True),
    }
    with partner(running.env, "--publish", "dicom.stored") as made:
        try:
            headers = {header: ["exam.upserted"]}
            message_id = await made.publish(json.dumps(event).encode(), "dicom.stored", headers=headers)
        except ChannelAccessRefused:
            return
        letters = await soon(lambda: _letters(admin, message_id), what="both letters")
    reasons = {letter.headers["x-queue"]: str(letter.headers["x-reason"]) for letter in letters}
    assert reasons[EXAM_QUEUE] == "routing key: is not the type that this queue takes"
    assert await audited(system, exam) == []


async def _letters(admin: AbstractChannel, message_id: str) -> list[Any]:
    """One of each queue, or none yet; what was taken too early is put back."""
    found = await take_by_id(admin, "registration.dead", message_id)
    if len(found) == 1:
        [only] = found
        await send(admin, only.body, "registration.dead", headers=only.headers, message_id=message_id)
        return []
    return found


async def test_a_copy_goes_nowhere_but_into_its_queue(admin: AbstractChannel) -> None:
    """The copy is ours: by the sender's CC it would reach any queue in the name of registration."""
    async with own_queue(admin) as queue:
        message_id = await send(admin, b"{", "dicom.stored", "medical-images", headers={"CC": [queue.name], "x": "y"})
        [dead] = await dead_letters(admin, message_id)
        assert dead.headers["x"] == "y"
        assert await queue.get(fail=False) is None
