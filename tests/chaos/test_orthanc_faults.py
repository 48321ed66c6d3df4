"""Orthanc is away, silent, or dies with images in hand."""

import pytest

from tests.chaos.lab import Lab
from tests.chaos.pretender import Lie
from tests.running import eventually

STORE_SECONDS = 5.0  # how long the upload service tries to reach Orthanc
BUSY = 3  # times that, on a machine that does much else


@pytest.mark.row("Orthanc down", "503 meanwhile, no false event; the clients' retries register all")
def test_orthanc_down(lab: Lab) -> None:
    with lab.sending(lab.images(exam=lab.exam()), tries=lab.scale.tries) as clients:
        clients.have_ended(1 / 4)
        lab.stop("orthanc")
        lab.outage()
        lab.start("orthanc")
    found = lab.balance()
    refused = [answer for answer in clients.answers if not answer.acknowledged]
    assert {(answer.status, answer.problem) for answer in refused} == {(503, "orthanc-away")}
    assert max(answer.seconds for answer in refused) < BUSY * STORE_SECONDS
    assert found.acknowledged == found.registered == found.sent


@pytest.mark.row("Orthanc frozen", "503 within the limit; an image that it stores late is found and registered")
def test_orthanc_frozen(lab: Lab) -> None:
    accession = lab.accession()
    exam = lab.exam(accession)
    coming_again, giving_up = lab.images(exam=exam), lab.images(accession=accession)
    with lab.sending(coming_again, tries=lab.scale.tries) as patient, lab.sending(giving_up) as impatient:
        patient.have_ended(1 / 4)
        lab.freeze("orthanc")
        lab.outage(lab.scale.answer_seconds + 2)
    found = lab.balance()
    refused = [answer for answer in (*patient.answers, *impatient.answers) if not answer.acknowledged]
    assert {answer.status for answer in refused} == {503}
    assert max(answer.seconds for answer in refused) < BUSY * lab.scale.answer_seconds
    assert found.stored - found.acknowledged, "Orthanc stored nothing late"
    assert found.registered == found.stored
    assert found.stored >= {image.orthanc_id for image in coming_again}


@pytest.mark.row("Orthanc killed while storing", "no half instance; the clients' retries register all")
def test_orthanc_killed_while_storing(lab: Lab) -> None:
    exam, come_again = lab.exam(), 0
    for kill in range(lab.scale.kills):
        if kill:  # behind the store, before its answer; the first time at any moment
            lab.orthanc_link.hold("to_client", by="upload")
        with lab.sending(lab.images(lab.scale.images // lab.scale.kills, exam=exam), lab.scale.tries) as clients:
            if kill:
                eventually(lambda: lab.orthanc_link.holding("to_client", by="upload"), what="an answer of Orthanc")
            else:
                clients.have_ended(1 / 4)
            lab.kill("orthanc")
            lab.orthanc_link.cut()
            lab.orthanc_link.heal()
        come_again += len(clients.stored_before())
    found = lab.balance()
    assert found.acknowledged == found.registered == found.sent
    assert come_again, "no image was stored by an Orthanc that could not say so any more"


@pytest.mark.row("Orthanc answering 200 with Failure", "502, no false event; sent again, all are registered")
def test_orthanc_answering_failure(lab: Lab) -> None:
    lie = lab.lie(Lie("POST", "/instances", 200, {"Status": "Failure"}, every=2))
    with lab.sending(lab.images(exam=lab.exam())) as clients:
        clients.have_ended(1)
    found = lab.balance()
    refused = [answer for answer in clients.answers if not answer.acknowledged]
    assert {(answer.status, answer.problem) for answer in refused} == {(502, "orthanc-nonsense")}
    assert len(refused) == lie.told
    assert found.stored == found.acknowledged == found.registered == found.told.keys()
    lab.send([answer.image for answer in refused])
    found = lab.balance()
    assert found.acknowledged == found.registered == found.sent


@pytest.mark.row("Orthanc's disk full", "507, no false event; sent again, all are registered")
def test_orthanc_disk_full(lab: Lab) -> None:
    exam = lab.exam()
    lab.send(lab.images(lab.scale.few, exam=exam))
    lab.fill_disk()
    with lab.sending(lab.images(exam=exam)) as clients:
        clients.have_ended(1)
    found = lab.balance()
    assert {(answer.status, answer.problem) for answer in clients.answers} == {(507, "storage-full")}
    assert found.stored == found.acknowledged == found.registered == found.told.keys()
    lab.send([answer.image for answer in clients.answers])
    found = lab.balance()
    assert found.acknowledged == found.registered == found.sent
