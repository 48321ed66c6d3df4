"""RabbitMQ: one connection per service, publishing that is persistent, confirmed, mandatory and bounded in time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError, DeliveryError
from faststream.exceptions import IncorrectState
from faststream.rabbit import Channel, RabbitBroker, RabbitExchange
from faststream.rabbit.prometheus import RabbitPrometheusMiddleware
from faststream.security import BaseSecurity
from prometheus_client import REGISTRY
from yarl import URL

from shared.cancellation import only_ours, within
from shared.errors import BrokerAway
from shared.events import CONTENT_TYPE, DataT, Event
from shared.settings import BrokerSettings

log = structlog.get_logger()

START_PAUSE_SECONDS = 2.0
AnswerT = TypeVar("AnswerT")
_ASKING: set["asyncio.Task[Any]"] = set()  # the event loop itself keeps no task alive
# What aio-pika, aiormq and FastStream raise when a publish was not confirmed, or nobody took it.
NOT_CONFIRMED = (AMQPError, DeliveryError, ConnectionError, TimeoutError, OSError, RuntimeError, IncorrectState)


def address(settings: BrokerSettings) -> URL:
    """Where the broker is, as whom, and how soon a silent link is given up."""
    return URL(settings.url.get_secret_value()).update_query(heartbeat=settings.heartbeat_seconds)


def make_broker(settings: BrokerSettings, service: str) -> RabbitBroker:
    """A broker that opens nothing yet. It declares nothing ever: topology is in deploy/rabbitmq/definitions.json."""
    url = address(settings)
    security = BaseSecurity(ssl_context=settings.tls()) if url.scheme == "amqps" else None  # a context alone means TLS
    return RabbitBroker(
        str(url),
        security=security,
        fail_fast=False,
        reconnect_interval=START_PAUSE_SECONDS,
        # A returned message (no queue took it) is an error, not a silent success.
        default_channel=Channel(prefetch_count=settings.prefetch, on_return_raises=True),
        app_id=service,
        graceful_timeout=15.0,
        middlewares=[RabbitPrometheusMiddleware(registry=REGISTRY, app_name=service)],
        apply_types=False,  # injecting a message into its handler would cost each one the way to a thread and back
        logger=None,
    )


@contextlib.asynccontextmanager
async def running(broker: RabbitBroker) -> AsyncIterator[None]:
    """Start the broker in the background, again and again until it answers, and stop it at the end."""
    starting = asyncio.create_task(_start(broker), name="broker-start")
    try:
        yield
    finally:
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        await broker.stop()


async def _start(broker: RabbitBroker) -> None:
    while True:
        try:
            with only_ours():
                await broker.start()
            log.info("broker.connected")
            return
        except NOT_CONFIRMED as error:
            log.warning("broker.away", kind=type(error).__name__, why=str(error), again_in_seconds=START_PAUSE_SECONDS)
            await asyncio.sleep(START_PAUSE_SECONDS)


class Publisher:
    """Publishes events to the exchange under this service's user name, which the broker checks."""

    def __init__(self, broker: RabbitBroker, settings: BrokerSettings) -> None:
        self._broker = broker
        self._settings = settings
        self._user = URL(settings.url.get_secret_value()).user
        self._exchange = RabbitExchange(settings.exchange, declare=False)

    async def publish(self, event: Event[DataT], *, mandatory: bool = True) -> None:
        """Return once the broker has confirmed it; raise BrokerAway where it has not within the time limit.

        `mandatory`: a message that no queue takes is an error as well.
        """
        await self.publish_raw(
            event.model_dump_json(by_alias=True).encode(),
            event.type,
            message_id=event.id,
            correlation_id=event.correlationid,
            mandatory=mandatory,
        )

    async def publish_raw(
        self, body: bytes, routing_key: str, *, message_id: str, correlation_id: str | None, mandatory: bool
    ) -> None:
        """The same for an event that is JSON already."""
        try:
            # FastStream's own timeout does not cover the wait for a reconnection.
            async with within(self._settings.confirm_seconds):
                await self._broker.publish(
                    body,
                    exchange=self._exchange,
                    routing_key=routing_key,
                    mandatory=mandatory,
                    persist=True,
                    content_type=CONTENT_TYPE,
                    message_id=message_id,
                    message_type=routing_key,
                    correlation_id=correlation_id,
                    user_id=self._user,
                )
        except NOT_CONFIRMED as error:
            log.error("event.unconfirmed", type=routing_key, kind=type(error).__name__, why=str(error))
            raise BrokerAway from error


async def exchange_answers(broker: RabbitBroker, settings: BrokerSettings) -> None:
    """Readiness: a round trip to the broker that finds the exchange; raises where it does not."""
    await trusted(broker, settings)
    await _asked(broker, lambda channel: channel.get_exchange(settings.exchange, ensure=True))


async def trusted(broker: RabbitBroker, settings: BrokerSettings) -> None:
    """Readiness: raises ssl.SSLError where that is why there is no connection; the client tries on and tells nobody."""
    url, connection = URL(settings.url.get_secret_value()), broker._connection  # noqa: SLF001  # see _ask
    if url.scheme == "amqps" and (connection is None or connection.is_closed):
        _, writer = await asyncio.open_connection(url.host, url.port, ssl=settings.tls())
        writer.close()


@dataclass(frozen=True)
class QueueCounts:
    """What is ready in a queue (without what its consumers have in hand), and how many consume from it."""

    messages: int
    consumers: int


async def queue_counts(broker: RabbitBroker, queue: str) -> QueueCounts:
    """Ask the broker about a queue, which needs no permission; raises where there is none, or no broker."""
    declared = (await _asked(broker, lambda channel: channel.declare_queue(queue, passive=True))).declaration_result
    return QueueCounts(declared.message_count or 0, declared.consumer_count or 0)


async def queue_consumed(broker: RabbitBroker, queue: str) -> None:
    """Readiness: the queue exists and somebody consumes from it; raises where not."""
    if not (await queue_counts(broker, queue)).consumers:
        raise ConnectionError(f"nobody consumes from {queue}")


async def queue_depth(broker: RabbitBroker, queue: str) -> int:
    """How many messages lie in the queue and in nobody's hands; raises where it cannot be asked."""
    return (await queue_counts(broker, queue)).messages


async def _asked(broker: RabbitBroker, question: Callable[[AbstractChannel], Awaitable[AnswerT]]) -> AnswerT:
    """The answer to one question, on a channel of its own: an error in it closes no other.

    The question goes on to its end even if nobody waits for that any more, as readiness does not for long: a channel
    given up while it closes is closed twice, and for that RabbitMQ closes the connection with all that is on it.
    """
    asking = asyncio.create_task(_ask(broker, question), name="broker-question")
    _ASKING.add(asking)
    asking.add_done_callback(_forget)
    return await asyncio.shield(asking)


async def _ask(broker: RabbitBroker, question: Callable[[AbstractChannel], Awaitable[AnswerT]]) -> AnswerT:
    connection = broker._connection  # noqa: SLF001  # FastStream's ping reads a flag, and offers no round trip
    if connection is None or connection.is_closed:
        raise ConnectionError("not connected")
    async with connection.channel() as channel:
        return await question(channel)


def _forget(asking: "asyncio.Task[Any]") -> None:
    _ASKING.discard(asking)
    if not asking.cancelled():
        asking.exception()  # whoever still waited has it
