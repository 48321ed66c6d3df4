"""RabbitMQ is away, silent, takes nothing, or takes it for others alone."""

import functools
import time

import httpx
import pytest

from services.registration_service.consumers import STORED_QUEUE
from tests.chaos.clients import Clients
from tests.chaos.lab import Lab
from tests.running import eventually

PUBLISH_SECONDS = 5.0  # how long an upload waits for the broker's confirm
BACK_SECONDS = 30.0  # until the consumers are back after the broker is
HALF_OPEN_SECONDS = 40.0  # until they are back where nobody told them that they were gone
BUSY = 3  # times that, on a machine that does much else


@pytest.mark.row("RabbitMQ down at upload", "2xx pending within 5 s, never a hang; one row each")
def test_rabbitmq_down(lab: Lab) -> None:
    with lab.sending(lab.images(exam=lab.exam())) as clients:
        clients.have_ended(1 / 4)
        lab.stop("rabbitmq")
        lab.outage()
        lab.start("rabbitmq")
    found = lab.balance()
    _all_were_promised_in_time(clients)
    assert found.pending
    assert found.acknowledged == found.registered == found.sent


@pytest.mark.row(
    "RabbitMQ down when the services start", "2xx pending within 5 s; consumers back within 30 s; one row each"
)
def test_rabbitmq_down_at_start(lab: Lab) -> None:
    services = ("upload", "registration", "reconciler")
    exam = lab.exam()
    lab.stop(*services, "rabbitmq")
    lab.start(*services)
    for service in services:
        eventually(functools.partial(_lives, lab, service), 40, f"{service} live")
    clients = lab.send_meanwhile(lab.images(lab.scale.handful, exam=exam))
    assert clients.acknowledged() == {answer.orthanc_id for answer in clients.answers if answer.event == "pending"}
    lab.start("rabbitmq")
    eventually(functools.partial(_broker_answers, lab), 60, "RabbitMQ")
    eventually(lambda: lab.queues.about(STORED_QUEUE).get("consumers"), BUSY * BACK_SECONDS, "consumers")
    after = lab.send(lab.images(exam=exam))
    found = lab.balance()
    for each in (clients, after):
        _all_were_promised_in_time(each)
    assert found.acknowledged == found.registered == found.sent


@pytest.mark.row("RabbitMQ killed again and again under load", "2xx confirmed or pending within 5 s; one row each")
def test_rabbitmq_restarted_under_load(lab: Lab) -> None:
    with lab.sending(lab.images(exam=lab.exam())) as clients:
        for share in lab.scale.shares:
            clients.have_ended(share)
            lab.kill("rabbitmq")
            eventually(functools.partial(_broker_answers, lab), 60, "RabbitMQ")
    found = lab.balance()
    _all_were_promised_in_time(clients)
    assert found.pending
    assert found.acknowledged - found.pending
    assert found.acknowledged == found.registered == found.sent


@pytest.mark.row(
    "RabbitMQ's links half-open: silent, and nobody is told",
    "2xx pending within 5 s; consumers back within 40 s by themselves; one row each",
)
def test_rabbitmq_half_open(lab: Lab) -> None:
    with lab.sending(lab.images(exam=lab.exam())) as clients:
        clients.have_ended(1 / 4)
        lab.broker_link.half_open()
        began = time.monotonic()
        clients.have_ended(1)
        left = began + BUSY * HALF_OPEN_SECONDS - time.monotonic()
        before = lab.registered()  # what was in hand when the links fell silent is long decided
        at_work = functools.partial(_goes_on, lab, before)
        eventually(at_work, left, "consumers on links that work")
        eventually(lambda: lab.registered() == len(lab.sent), lab.scale.drain_seconds, "the end of the backlog")
    found = lab.balance()
    _all_were_promised_in_time(clients)
    assert found.pending
    assert found.acknowledged == found.registered == found.sent


def _goes_on(lab: Lab, before: int) -> bool:
    return before == len(lab.sent) or lab.registered() > before


@pytest.mark.row("RabbitMQ's confirms lost", "2xx pending within 5 s, though the event arrived: one row each")
def test_confirms_lost(lab: Lab) -> None:
    exam, quarter = lab.exam(), lab.scale.images // 4
    before = lab.send(lab.images(quarter, exam=exam))
    told = lab.queues.told()
    lab.broker_link.hold("to_client", by="upload")  # before the others are sent: none of them may be confirmed
    with lab.sending(lab.images(lab.scale.images - quarter, exam=exam)) as clients:
        arrived = eventually(lambda: lab.queues.told() - told, what="announced, not acknowledged")
        lab.outage()
    found = lab.balance()
    for each in (before, clients):
        _all_were_promised_in_time(each)
    assert found.pending >= arrived, "an image whose event had arrived was confirmed after all"
    assert found.acknowledged == found.registered == found.sent


@pytest.mark.row("RabbitMQ's memory alarm", "2xx pending within 5 s; one row each once it is over")
def test_memory_alarm(lab: Lab) -> None:
    exam = lab.exam()
    with lab.sending(lab.images(exam=exam)) as clients:
        clients.have_ended(1 / 4)
        lab.alarm()
        under_alarm = lab.send_meanwhile(lab.images(lab.scale.handful, exam=exam))
        lab.outage()
        assert lab.queues.http.get("/health/checks/alarms").status_code == 503
    found = lab.balance()
    for each in (clients, under_alarm):
        _all_were_promised_in_time(each)
    assert under_alarm.acknowledged() <= found.pending
    assert found.acknowledged == found.registered == found.sent


@pytest.mark.row(
    "registration's binding missing, while another queue takes the events",
    "shows in readiness; heals through `seen`; one row each by accession number",
)
def test_binding_missing(lab: Lab) -> None:
    """The broker confirms an event that nobody keeps, and what it said of the exam and the uploader is gone with it."""
    accession = lab.accession()
    lab.exam(accession)
    lab.queues.unbind(STORED_QUEUE, "dicom.stored")
    lab.until_healed(lambda: lab.queues.bind(STORED_QUEUE, "dicom.stored"))
    with lab.sending(lab.images(accession=accession)) as clients:
        clients.have_ended(1)
        assert lab.faulty.lacks("registration") == {"rabbitmq"}
        lab.outage()
        assert not lab.registered()
    assert not lab.faulty.lacks("registration")
    found = lab.balance()
    _all_were_promised_in_time(clients)
    assert not found.pending
    assert min(found.told.values()) > 1, "nobody told it again"
    assert found.acknowledged == found.registered == found.sent


@pytest.mark.row("a partner's or the warming queue full and unread", "uploads unharmed")
def test_full_queues_of_others(lab: Lab) -> None:
    others = {"partner.lab": "classic", "preview.lab": "quorum"}
    for queue, kind in others.items():
        lab.queues.declare(queue, "dicom.stored", "image.registered", kind=kind)
        lab.until_healed(functools.partial(lab.queues.forget, queue))
        policy = eventually(functools.partial(_policy_of, lab, queue), what=f"a policy for {queue}")
        lab.queues.set_policy(queue, f"^{queue}$", policy | {"max-length": FULL})
        lab.until_healed(functools.partial(lab.queues.forget_policy, queue))
    eventually(lambda: all(_policy_of(lab, queue).get("max-length") == FULL for queue in others), what="small queues")
    with lab.sending(lab.images(exam=lab.exam())) as clients:
        clients.have_ended(1)
        eventually(lambda: lab.registered() == len(lab.sent), lab.scale.drain_seconds, "all registered")
        for queue in others:
            eventually(functools.partial(_is_full, lab, queue), what=f"{queue} full")
    found = lab.balance()
    _all_were_promised_in_time(clients)
    assert not found.pending
    assert found.acknowledged == found.registered == found.sent


FULL = 5  # messages


def _all_were_promised_in_time(clients: Clients) -> None:
    """A client never comes again in these rows: nothing that the broker does is a reason to refuse an image."""
    assert {answer.status for answer in clients.answers} == {201}, clients.statuses()
    assert max(answer.seconds for answer in clients.answers) < BUSY * PUBLISH_SECONDS


def _lives(lab: Lab, service: str) -> bool:
    try:
        return lab.faulty.live(service)
    except httpx.TransportError:
        return False


def _broker_answers(lab: Lab) -> bool:
    try:
        return lab.queues.http.get("/health/checks/virtual-hosts").is_success
    except httpx.TransportError:
        return False


def _policy_of(lab: Lab, queue: str) -> dict[str, object]:
    found: dict[str, object] = lab.queues.about(queue).get("effective_policy_definition") or {}
    return found


def _is_full(lab: Lab, queue: str) -> bool:
    return bool(lab.queues.about(queue).get("messages", 0) == FULL)
