"""The broker is away, and the context of an image cannot be parked in Orthanc, or another one is parked there."""

from dataclasses import replace

import pytest

from tests.chaos.balance import Allowed
from tests.chaos.clients import Clients
from tests.chaos.lab import Lab
from tests.chaos.pretender import Lie
from tests.chaos.stores import ANNOUNCED
from tests.running import eventually

NEITHER = (503, "stored-unlinked")


@pytest.mark.row(
    "publishing and parking both fail",
    "503 with Retry-After, and a retry that works; an image whose client does not come again is `waiting`",
)
def test_neither_published_nor_parked(lab: Lab) -> None:
    exam = lab.exam()
    coming_again, giving_up = lab.images(exam=exam), lab.images(lab.scale.handful, exam=exam)
    refusal = lab.lie(Lie("PUT", "/instances/[^/]+/metadata/1024", 500, {"OrthancStatus": 14}))
    with lab.sending(coming_again, tries=lab.scale.tries) as patient:
        patient.have_ended(1 / 4)
        lab.broker_link.hold(by="upload")
        impatient = lab.send_meanwhile(giving_up)
        lab.outage()
        lab.broker_link.cut(by="upload")  # what it could not send never arrives
    found = lab.balance()
    assert _refusals(patient, impatient) == {NEITHER}
    assert refusal.told
    assert patient.stored_before(), "no client came again for an image that was stored"
    assert not impatient.acknowledged()
    assert found.acknowledged == found.registered == {image.orthanc_id for image in coming_again}
    assert found.waiting == {image.orthanc_id: "no-exam-named" for image in giving_up}


@pytest.mark.row(
    "two contexts for one image while RabbitMQ is away, in turn and at once",
    "the first stays, the second is told: 503, then `conflictExam` and `image.refused`",
)
def test_two_contexts(lab: Lab) -> None:
    first, second = lab.exam(), lab.exam()
    in_turn, at_once = (lab.images(lab.scale.handful, exam=first) for _ in range(2))
    some_late = lab.lie(Lie("PUT", "/instances/[^/]+/metadata/1024", late=0.5, every=2))  # two of one image meet
    lab.stop("rabbitmq")
    assert lab.send_meanwhile(in_turn).statuses() == {201: len(in_turn)}
    # Who is refused comes again with the same image: so each image has a client of its own.
    late, one, other = (lab.clients(lab.scale.tries, at_once=lab.scale.handful) for _ in range(3))
    with (
        lab.sending([replace(image, exam=second) for image in in_turn], clients=late),
        lab.sending(at_once, clients=one),
        lab.sending([replace(image, exam=second) for image in at_once], clients=other),
    ):
        eventually(lambda: all(_answered(clients) == len(at_once) for clients in (late, one, other)), 100, "answers")
        assert not late.acknowledged()
        assert not one.acknowledged() & other.acknowledged()
        assert one.acknowledged() | other.acknowledged() == {image.orthanc_id for image in at_once}
        assert some_late.told
        lab.broker_link.hold("to_server", by="reconciler")  # so that the second exam's event is the first to arrive
        lab.start("rabbitmq")
        late.have_ended(1)
    found = lab.balance(Allowed(conflict=True))
    assert _refusals(late, one, other) == {NEITHER}
    assert found.acknowledged == found.registered == found.sent
    exams = {record.orthanc_id: record.exam for record in lab.tables.records()}
    assert {exams[image.orthanc_id] for image in in_turn} == {first}
    conflicts = {orthanc_id for orthanc_id, entry in lab.tables.ledger().items() if entry.conflict_exam}
    refused = {message.orthanc_id for message in lab.queues.messages(ANNOUNCED) if message.kind == "image.refused"}
    assert conflicts == refused == found.sent


def _answered(clients: Clients) -> int:
    """How many images have had an answer."""
    return len({answer.image.orthanc_id for answer in clients.answers})


def _refusals(*several: Clients) -> set[tuple[int, str]]:
    answers = (answer for clients in several for answer in clients.answers)
    return {(answer.status, answer.problem) for answer in answers if not answer.acknowledged}
