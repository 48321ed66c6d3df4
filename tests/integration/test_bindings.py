"""A binding that is gone shows in readiness, though the broker still confirms what is published."""

import pytest
from aio_pika.abc import AbstractChannel

from deploy.local.system import System
from services.registration_service.bindings import Bindings
from shared.settings import BrokerSettings
from tests.integration import accounts
from tests.integration.queues import own_queue


@pytest.fixture
def settings(system: System) -> BrokerSettings:
    return accounts.broker(system, "registration")


def _bindings(system: System, settings: BrokerSettings) -> Bindings:
    return Bindings(settings, f"http://{system.backing.management}")


async def test_all_are_there(system: System, settings: BrokerSettings) -> None:
    await _bindings(system, settings).answers()


KEYS = ("dicom.stored", "exam.upserted", "audit.recorded")


@pytest.mark.parametrize(("queue", "key"), [("registration." + key.replace(".", "-"), key) for key in KEYS])
async def test_a_missing_one_is_named(
    system: System, settings: BrokerSettings, admin: AbstractChannel, queue: str, key: str
) -> None:
    """On an exchange of the test's own: nobody else's messages are lost meanwhile."""
    exchange = await admin.declare_exchange("test.bindings", "topic", auto_delete=False)
    try:
        async with own_queue(admin) as another:
            for other in set(KEYS) - {key}:
                kept = await admin.get_queue("registration." + other.replace(".", "-"), ensure=False)
                await kept.bind(exchange, other)
            await another.bind(exchange, key)
            with pytest.raises(LookupError, match=f"^{queue} is not bound to {key}$"):
                await _bindings(system, settings.model_copy(update={"exchange": "test.bindings"})).answers()
    finally:
        await exchange.delete()
