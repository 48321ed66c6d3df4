"""A partner's queue: bounded, it drops its oldest and holds nobody up; and all of a partner outlives the broker."""

import json
from collections.abc import Iterator

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractChannel

from deploy.local.system import System
from tests.dicom_files import fresh
from tests.integration import faulty, given, scratch
from tests.integration.faulty import Faulty
from tests.integration.partners import Partner, examflow, partner
from tests.integration.queues import channel_of, soon, take
from tests.running import Running, eventually, registered, upload

SHORT = 3
DROPPED = "rabbitmq_global_messages_dead_lettered_maxlen_total"
LABELS = '{queue_type="rabbit_classic_queue",dead_letter_strategy="disabled"}'


def _shorten(management: str, made: Partner) -> None:
    """A policy before the one of all partners."""
    policy = {
        "pattern": f"^{made.queue}$",
        "priority": 10,
        "apply-to": "queues",
        "definition": {"max-length": SHORT, "overflow": "drop-head"},
    }
    httpx.put(f"{management}/api/policies/%2F/{made.name}", json=policy, trust_env=False).raise_for_status()


@pytest.fixture
def full(running: Running) -> Iterator[Partner]:
    """A partner with a queue that holds little, and that it does not read."""
    management = running.env["RABBITMQ_MANAGEMENT_URL"]
    with partner(running.env, "--listen", "image.registered") as made:
        _shorten(management, made)
        yield made
        httpx.delete(f"{management}/api/policies/%2F/{made.name}", trust_env=False).raise_for_status()


async def test_a_full_queue_that_nobody_reads_harms_no_upload(
    running: Running, system: System, admin: AbstractChannel, full: Partner
) -> None:
    alice, exam = running.client(), given.name()
    running.open_exam(exam, "user:alice")
    sent = []
    for _ in range(3 * SHORT):
        answer = upload(alice, fresh("CT_small.dcm"), examenID=exam)
        assert (answer.status_code, answer.json()["data"]["event"]) == (201, "confirmed")
        sent.append(answer.json()["data"]["ID"])
        registered(alice, sent[-1])
    await soon(lambda: _all_told(system), what="the last announcement")
    queue = await admin.get_queue(full.queue, ensure=False)
    assert [_image_of(await take(queue)) for _ in range(SHORT)] == sent[-SHORT:]
    assert await queue.get(fail=False) is None


async def _all_told(system: System) -> bool:
    return not await scratch.fetch(system, "examflow", "SELECT 1 FROM outbox LIMIT 1")


def _image_of(message: aio_pika.abc.AbstractIncomingMessage) -> str:
    """The Orthanc id that an announcement is about."""
    return str(json.loads(message.body)["subject"])


@pytest.fixture(scope="module")
def broker(request: pytest.FixtureRequest) -> Iterator[Faulty]:
    """A broker of our own, without services."""
    if request.config.getoption("--backends") != "local":
        pytest.skip("kills local processes")
    yield from faulty.make("rabbitmq")


async def _announce(system: System, number: int) -> None:
    async with channel_of(system, "registration") as channel:
        exchange = await channel.get_exchange("medical-images", ensure=False)
        message = aio_pika.Message(str(number).encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await exchange.publish(message, "image.moved")


async def test_partners_outlive_the_broker(broker: Faulty) -> None:
    """The definitions are loaded at every start; what is not in them stays."""
    env = broker.running.env
    with partner(env, "--listen", "image.moved") as made:
        await _announce(broker.system, 1)
        broker.stop("rabbitmq")
        broker.start("rabbitmq")
        eventually(lambda: made.name in examflow(env, "partner", "list").stdout, 60, "the broker back")
        assert examflow(env, "partner", "add", made.name).stdout == f"{made.name}: nothing changed\n"
        await _announce(broker.system, 2)
        async with made.channel() as channel:
            queue = await channel.get_queue(made.queue, ensure=False)
            assert [(await take(queue)).body for _ in range(2)] == [b"1", b"2"]


async def test_what_is_dropped_is_counted(broker: Faulty) -> None:
    before = _dropped(broker)
    with partner(broker.running.env, "--listen", "image.moved") as made:
        _shorten(broker.system.management_url, made)
        for number in range(SHORT + 5):
            await _announce(broker.system, number)

        async def counted() -> bool:
            return _dropped(broker) == before + 5

        await soon(counted, 20, "the count of what was dropped")
        told = f'rabbitmq_detailed_queue_messages_ready{{vhost="/",queue="{made.queue}"}} {SHORT}'
        eventually(lambda: told in _metrics(broker, "/metrics/detailed?family=queue_coarse_metrics"), what=told)


def _dropped(broker: Faulty) -> int:
    [line] = [line for line in _metrics(broker, "/metrics").splitlines() if line.startswith(DROPPED + LABELS)]
    return int(line.rpartition(" ")[2])


def _metrics(broker: Faulty, path: str) -> str:
    return httpx.get(f"http://127.0.0.1:{broker.system.ports.prometheus}{path}", trust_env=False).text
