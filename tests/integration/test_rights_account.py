"""The one account that declares: a queue of its own for changes of rights, and nothing besides, by no way round."""

import uuid
from typing import Any

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource

from deploy.local.system import System
from tests.integration.queues import channel_of, send, soon, take

USER = "preview_rights"
KEY = "exam.rights-changed"
OTHER_KEYS = ("#", "*.*", "exam.*", "exam.upserted", "dicom.stored", "image.registered", "audit.recorded", "")


def _name() -> str:
    return f"preview.rights.{uuid.uuid4()}"


async def _declared(channel: AbstractChannel, **arguments: Any) -> AbstractQueue:
    return await channel.declare_queue(_name(), exclusive=True, auto_delete=True, arguments=arguments)


async def test_it_hears_of_rights(system: System, admin: AbstractChannel) -> None:
    async with channel_of(system, USER) as channel:
        queue = await _declared(channel)
        await queue.bind("medical-images", KEY)
        await send(admin, b"changed", KEY, "medical-images")
        assert (await take(queue)).body == b"changed"


async def test_its_queue_is_bounded_by_the_server(system: System) -> None:
    async with channel_of(system, USER) as channel:
        queue = await _declared(channel)
        where = f"http://{system.backing.management}/api/queues/%2F/{queue.name}"
        auth = ("admin", system.secrets.rabbitmq_admin)
        async with httpx.AsyncClient(auth=auth, trust_env=False) as client:

            async def told() -> dict[str, Any] | None:
                answer: dict[str, Any] = (await client.get(where)).json()
                return answer if "policy" in answer else None

            found = await soon(told, 30, "what the management interface learns every 5 s")
    assert found is not None
    assert found["policy"] == "preview"
    assert found["effective_policy_definition"]["overflow"] == "drop-head"
    assert found["effective_policy_definition"]["max-length"] == 100_000


@pytest.mark.parametrize("key", OTHER_KEYS)
async def test_it_hears_of_nothing_else(system: System, key: str) -> None:
    async with channel_of(system, USER) as channel:
        queue = await _declared(channel)
        with pytest.raises(ChannelAccessRefused):
            await queue.bind("medical-images", key)


@pytest.mark.parametrize("name", ["preview.warm", "preview_rights.x", "preview.rights", "registration.dead", "test.x"])
async def test_it_declares_no_other_queue(system: System, name: str) -> None:
    async with channel_of(system, USER) as channel:
        with pytest.raises(ChannelAccessRefused):
            await channel.declare_queue(name, exclusive=True)


@pytest.mark.parametrize("key", [KEY, "dicom.stored", "exam.upserted", "audit.recorded"])
async def test_it_publishes_nothing(system: System, key: str) -> None:
    async with channel_of(system, USER) as channel:
        with pytest.raises(ChannelAccessRefused):
            await send(channel, b"{}", key, "medical-images", user_id=USER)


@pytest.mark.parametrize("queue", ["registration.dead", "registration.dicom-stored"])
async def test_it_neither_fills_nor_reads_anothers_queue(system: System, queue: str) -> None:
    async with channel_of(system, USER) as channel:
        with pytest.raises(ChannelAccessRefused):
            await send(channel, b"{}", queue)
    async with channel_of(system, USER) as channel:
        with pytest.raises(ChannelAccessRefused):
            await (await channel.get_queue(queue, ensure=False)).get(fail=False)


async def test_nothing_goes_on_from_its_queue_when_it_dies(system: System) -> None:
    """A dead letter passes no check of its routing key: one could say `exam.upserted` that way."""
    async with channel_of(system, USER) as channel:
        with pytest.raises(ChannelAccessRefused):
            await _declared(channel, **{"x-dead-letter-exchange": "medical-images"})


async def test_nothing_goes_on_through_an_exchange_of_its_own(system: System) -> None:
    """What an exchange cannot route, or is bound to another for, passes none either."""
    async with channel_of(system, USER) as channel:
        with pytest.raises(ChannelAccessRefused):
            await channel.declare_exchange(_name(), arguments={"alternate-exchange": "medical-images"})
    async with channel_of(system, USER) as channel:
        own = await channel.declare_exchange(_name(), aio_pika.ExchangeType.FANOUT, auto_delete=True)
        ours = await channel.get_exchange("medical-images", ensure=False)
        with pytest.raises(ChannelAccessRefused):
            await ours.bind(own, "exam.upserted")


async def test_anothers_rights_queue_is_not_read(system: System) -> None:
    async with channel_of(system, USER) as holder, channel_of(system, USER) as other:
        queue = await _declared(holder)
        with pytest.raises(ChannelLockedResource):
            await (await other.get_queue(queue.name, ensure=False)).get(fail=False)
