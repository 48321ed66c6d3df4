"""What the running registration service does with messages that it cannot use."""

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from deploy.local.system import System
from services.registration_service.consumers import STORED_QUEUE
from shared.events import CONTENT_TYPE, DicomStored, Event
from tests.integration import given, scratch
from tests.integration.queues import channel_of, dead_letters, send, soon, take_by_id

NAME = "ATIENT^P"


@pytest.fixture
async def upload(system: System) -> AsyncIterator[AbstractChannel]:
    """A channel of the upload service's account."""
    async with channel_of(system, "upload") as channel:
        yield channel


async def _publish(channel: AbstractChannel, body: bytes, **properties: Any) -> str:
    usual = {"user_id": "upload", "content_type": CONTENT_TYPE, "delivery_mode": DeliveryMode.PERSISTENT}
    return await send(channel, body, "dicom.stored", "medical-images", **(usual | properties))


def _body(event: Event[DicomStored], changed: dict[str, Any] | None = None, **envelope: Any) -> bytes:
    said = event.model_dump(mode="json", by_alias=True)
    return json.dumps(said | envelope | {"data": said["data"] | (changed or {})}).encode()


async def _arrives(system: System, data: DicomStored, code: str = "no-exam-named") -> None:
    """The image stands in the ledger of the running service."""

    async def ask() -> bool:
        query = "SELECT code FROM intake_ledger WHERE orthanc_id = :id"
        found = await scratch.fetch(system, "examflow", query, id=data.orthanc_instance_id)
        return found == [(code,)]

    await soon(ask, what=f"{data.orthanc_instance_id} {code}")


GOOD = given.event(given.image())
BAD = {
    "not JSON": (b'{"patient": "ATIENT^P', "body"),
    "not an object": (b'["ATIENT^P"]', "body"),
    "empty": (b"", "body"),
    "not UTF-8": (b"\xff\xfe\x00", "body"),
    "no data": (json.dumps({"type": "dicom.stored", "source": "/x", "subject": "s"}).encode(), "data"),
    "no UID": (_body(GOOD, {"sopInstanceUID": ""}), "data.sopInstanceUID"),
    "a wrong number": (_body(GOOD, {"size": NAME}), "data.size"),
    "a wrong digest": (_body(GOOD, {"digest": NAME}), "data.digest"),
    "too long": (_body(GOOD, {"context": {"examenID": NAME * 9}}), "data.context.examenID"),
    "a wrong origin": (_body(GOOD, {"origin": {"kind": NAME}}), "data.origin.kind"),
    "a NUL": (_body(GOOD, {"modality": "C\0T"}), "data.modality"),
    "an escape sequence": (_body(GOOD, {"context": {"description": "\x1b[2J"}}), "data.context.description"),
    "a turned name": (_body(GOOD, {"origin": {"kind": "upload", "actor": "ali\u202ece"}}), "data.origin.actor"),
    "half a character": (_body(GOOD, {"orthancInstanceId": "\ud800"}), "body"),
    "another type": (_body(GOOD, type="image.registered"), "type"),
    "another version of CloudEvents": (_body(GOOD, specversion="0.3"), "specversion"),
}


@pytest.mark.parametrize(("body", "field"), BAD.values(), ids=list(BAD))
async def test_what_cannot_be_read_is_dead_at_once(
    upload: AbstractChannel, admin: AbstractChannel, body: bytes, field: str
) -> None:
    message_id = await _publish(upload, body, correlation_id="corr-dead")
    [dead] = await dead_letters(admin, message_id)
    assert (dead.body, dead.content_type, dead.correlation_id) == (body, CONTENT_TYPE, "corr-dead")
    assert (dead.delivery_mode, dead.type) == (DeliveryMode.PERSISTENT, None)
    reason = str(dead.headers["x-reason"])
    assert reason.startswith(f"{field}: ")
    assert NAME not in str(dead.headers)
    assert (dead.headers["x-attempt"], dead.headers["x-queue"]) == (1, STORED_QUEUE)
    assert (dead.headers["x-publisher"], dead.user_id) == ("upload", "registration")
    first, last = (datetime.fromisoformat(str(dead.headers[name])) for name in ("x-first", "x-last"))
    assert first == last
    assert timedelta(0) <= datetime.now(UTC) - last < timedelta(seconds=30)


async def test_equal_troubles_have_equal_fingerprints(upload: AbstractChannel, admin: AbstractChannel) -> None:
    prints = []
    for body in (_body(GOOD, {"size": "x"}), _body(GOOD, {"size": "y"}), _body(GOOD, {"digest": "y"})):
        [dead] = await dead_letters(admin, await _publish(upload, body))
        prints.append(dead.headers["x-fingerprint"])
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("content_type", ["text/plain", None, "application/json"])
async def test_text_that_is_no_event_is_dead_whatever_it_is_called(
    upload: AbstractChannel, admin: AbstractChannel, content_type: str | None
) -> None:
    message_id = await _publish(upload, b"hello", content_type=content_type)
    [dead] = await dead_letters(admin, message_id)
    assert (dead.body, dead.content_type) == (b"hello", content_type)


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/cloudevents-batch+json"])
async def test_an_event_under_another_content_type_is_dead(
    upload: AbstractChannel, admin: AbstractChannel, content_type: str
) -> None:
    message_id = await _publish(upload, _body(given.event(given.image())), content_type=content_type)
    [dead] = await dead_letters(admin, message_id)
    assert dead.headers["x-reason"] == "contentType: must be application/cloudevents+json"


@pytest.mark.parametrize("content_type", [None, "Application/CloudEvents+JSON; charset=utf-8"])
async def test_the_content_type_may_be_absent_or_have_parameters(
    system: System, upload: AbstractChannel, content_type: str | None
) -> None:
    data = given.image()
    await _publish(upload, _body(given.event(data)), content_type=content_type)
    await _arrives(system, data)


async def test_a_huge_event_is_dead_whole_and_harms_no_other(
    system: System, upload: AbstractChannel, admin: AbstractChannel
) -> None:
    data = given.image()
    huge = _body(given.event(given.image()), {"newer": "x" * 8 * 1024 * 1024})
    message_id = await _publish(upload, huge)
    await _publish(upload, _body(given.event(data)))
    await _arrives(system, data)
    [dead] = await dead_letters(admin, message_id)
    assert (dead.body, dead.headers["x-reason"]) == (huge, "body: larger than 1048576 bytes")


async def test_the_good_ones_around_it_flow_on(system: System, upload: AbstractChannel, admin: AbstractChannel) -> None:
    images = [given.image() for _ in range(20)]
    bad = []
    for data in images:
        bad.append(await _publish(upload, b"{"))
        await _publish(upload, _body(given.event(data)))
    for data in images:
        await _arrives(system, data)
    for message_id in bad:
        assert len(await dead_letters(admin, message_id)) == 1
    for message_id in bad:  # and no second copy came meanwhile
        assert await take_by_id(admin, "registration.dead", message_id) == []


async def test_an_unknown_field_is_no_trouble(system: System, upload: AbstractChannel) -> None:
    data = given.image()
    await _publish(upload, _body(given.event(data), {"newer": {"field": 1}}, extension="x"))
    await _arrives(system, data)


@pytest.fixture
async def poison(system: System) -> AsyncIterator[DicomStored]:
    """An image at which the database fails as it would at a defect of ours: not away, and not the message's fault."""
    data = given.image()
    name = f"poison_{data.digest}"
    body = "BEGIN RAISE EXCEPTION 'a defect'; END"
    await scratch.fetch(system, "examflow", f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
    await scratch.fetch(
        system,
        "examflow",
        f"CREATE TRIGGER {name} BEFORE INSERT ON intake_ledger FOR EACH ROW"
        f" WHEN (NEW.sop_instance_uid = '{data.sop_instance_uid}') EXECUTE FUNCTION {name}()",
    )
    yield data
    await scratch.fetch(system, "examflow", f"DROP FUNCTION {name} CASCADE")


async def test_what_fails_in_the_work_goes_to_the_retry_rung(
    upload: AbstractChannel, admin: AbstractChannel, poison: DicomStored
) -> None:
    message_id = await _publish(upload, _body(given.event(poison)))

    async def ask() -> list[Any]:
        rung = await take_by_id(admin, "registration.dicom-stored.retry-1", message_id)
        return [*rung, *await take_by_id(admin, "registration.dead", message_id)]

    [copy] = await soon(ask, what="a copy in the rung")
    assert (copy.routing_key, copy.headers["x-attempt"]) == ("registration.dicom-stored.retry-1", 2)
    assert copy.headers["x-publisher"] == "upload"
    assert NAME not in str(copy.headers)
    # The first pause is 10 s; the broker gives what is left of it.
    assert copy.expiration is not None
    assert copy.expiration in (10, timedelta(seconds=10))


async def test_what_lies_in_the_rung_comes_back_to_its_queue(system: System, admin: AbstractChannel) -> None:
    data = given.image()
    async with channel_of(system, "registration") as registration:
        await send(
            registration,
            _body(given.event(data)),
            "registration.dicom-stored.retry-1",
            expiration=0.1,
            user_id="registration",
            headers={"x-attempt": 2, "x-publisher": "upload"},
            content_type=CONTENT_TYPE,
        )
    await _arrives(system, data)


async def test_a_publisher_cannot_sign_with_anothers_name(upload: AbstractChannel, admin: AbstractChannel) -> None:
    """The broker has checked user_id; a header it has not."""
    message_id = await _publish(upload, b"{", headers={"x-publisher": "preview"})
    [dead] = await dead_letters(admin, message_id)
    assert dead.headers["x-publisher"] == "upload"


async def test_the_broker_itself_dead_letters_what_is_thrown_away(
    upload: AbstractChannel, admin: AbstractChannel
) -> None:
    """The net beneath: a consumer that comes before the running service's throws a message away."""
    mine = str(uuid.uuid4())

    async def throw_away(message: AbstractIncomingMessage) -> None:
        await message.reject(requeue=message.message_id != mine)

    queue = await admin.get_queue(STORED_QUEUE, ensure=False)
    tag = await queue.consume(throw_away, arguments={"x-priority": 10})
    await _publish(upload, _body(given.event(given.image())), message_id=mine)
    [dead] = await dead_letters(admin, mine)
    await queue.cancel(tag)
    assert "x-reason" not in dead.headers
    deaths: Any = dead.headers["x-death"]
    assert [(death["queue"], death["reason"]) for death in deaths] == [(STORED_QUEUE, "rejected")]
