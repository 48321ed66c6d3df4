"""The upload service is killed, or its client goes away, at the points of an upload's way."""

import functools
import itertools
from collections.abc import Sequence

import pytest

from tests.chaos.clients import Clients
from tests.chaos.halves import Framing
from tests.chaos.images import Image
from tests.chaos.lab import Lab
from tests.running import eventually

FRAMINGS: tuple[Framing, ...] = ("length", "chunked")
IN_FLIGHT = 4  # so many of the eight clients at least have come to the point where the service is killed


@pytest.mark.row(
    "upload service killed after Orthanc stored, before publishing; the client comes again",
    "the client's retry registers it",
)
def test_upload_killed_before_publishing_with_retry(lab: Lab) -> None:
    exam, come_again = lab.exam(), 0
    for _ in range(lab.scale.kills):
        lab.send(lab.images(_share(lab), exam=exam))
        clients = _send_and_kill_before_publishing(lab, lab.images(_share(lab), exam=exam), lab.scale.tries)
        come_again += len(clients.stored_before())
    found = lab.balance()
    assert found.acknowledged == found.registered == found.sent
    assert come_again, "no client came again for an image that was stored"


@pytest.mark.row(
    "upload service killed after Orthanc stored, before publishing; the client does not come again",
    "registered by accession number, else `waiting`",
)
def test_upload_killed_before_publishing_without_retry(lab: Lab) -> None:
    accession = lab.accession()
    exam = lab.exam(accession)
    share = _share(lab)
    for _ in range(lab.scale.kills):
        pairs = zip(lab.images(share, accession=accession), lab.images(share, exam=exam), strict=True)
        some = [*itertools.chain.from_iterable(pairs)]
        lab.send(some[:share])
        _send_and_kill_before_publishing(lab, some[share:], tries=1)
    found = lab.balance()
    numbered = {image.orthanc_id for image in lab.sent if image.accession}
    unpromised = found.stored - found.acknowledged
    assert unpromised & numbered, "no image was stored and not acknowledged"
    assert found.registered >= found.acknowledged | (unpromised & numbered)
    # One whose event had left, and its answer not, is registered as well.
    assert found.waiting == dict.fromkeys(found.stored - found.registered, "no-exam-named")
    assert found.waiting, "no image that named its exam was stored and not announced"


def _share(lab: Lab) -> int:
    """Of the images before each kill; as many are sent when it comes."""
    return lab.scale.images // lab.scale.kills // 2


def _send_and_kill_before_publishing(lab: Lab, some: Sequence[Image], tries: int) -> Clients:
    """Kill the service once some clients hang behind Orthanc's answer, since what it publishes is held back.

    What is held back is dropped. It is held before the first image is sent: all could be through before.
    """
    before = lab.orthanc.count()
    lab.broker_link.hold("to_server", by="upload")
    with lab.sending(some, tries) as clients:
        eventually(lambda: lab.orthanc.count() - before >= IN_FLIGHT, what="stored, and not announced")
        eventually(lambda: lab.broker_link.holding("to_server", by="upload"), what="a publish on its way")
        lab.kill("upload")
        lab.broker_link.cut(by="upload")
        lab.broker_link.heal()
    return clients


@pytest.mark.row("upload service killed after publishing, before answering", "one row")
def test_upload_killed_before_answering(lab: Lab) -> None:
    exam, come_again = lab.exam(), 0
    for _ in range(lab.scale.kills):
        lab.send(lab.images(_share(lab), exam=exam))
        before = lab.queues.told()
        lab.broker_link.hold("to_client", by="upload")  # the broker's confirms do not arrive
        with lab.sending(lab.images(_share(lab), exam=exam), lab.scale.tries) as clients:
            eventually(functools.partial(_some_were_announced, lab, before), what="announced, unanswered")
            lab.kill("upload")
            lab.broker_link.heal()
        come_again += len(clients.stored_before())
    found = lab.balance()
    assert found.acknowledged == found.registered == found.sent
    assert come_again, "no client came again for an image that was published"


def _some_were_announced(lab: Lab, before: set[str | None]) -> bool:
    return len(lab.queues.told() - before) >= IN_FLIGHT


@pytest.mark.row("upload service killed mid-body", "nothing stored, no temporary file")
def test_upload_killed_mid_body(lab: Lab) -> None:
    half = lab.scale.few // 2
    for _ in range(lab.scale.kills):
        small, large = lab.images(half), lab.images(half, large=True)
        with lab.half_sent([*small, *large], itertools.cycle(FRAMINGS)) as halves:
            eventually(lambda: lab.orthanc_link.open(by="upload") >= half, what="large bodies flowing to Orthanc")
            lab.kill("upload")
        assert not halves.acknowledged()
        lab.heal()
    found = lab.balance()
    assert not found.stored
    assert not _temporary_files(lab)


@pytest.mark.row("client gone mid-body, chunked and with length", "nothing stored, no event")
def test_client_gone_mid_body(lab: Lab) -> None:
    kinds = itertools.product(FRAMINGS, (False, True), (False, True), (False, True))
    for framing, large, past_gateway, at_once in kinds:
        images = lab.images(max(2, lab.scale.images // 16), large=large)
        for some in (images[i : i + lab.scale.few] for i in range(0, len(images), lab.scale.few)):
            with lab.half_sent(some, itertools.repeat(framing), past_gateway=past_gateway) as halves:
                halves.go_away(at_once=at_once)
    found = lab.balance()
    assert not found.stored
    assert not found.told
    assert not _temporary_files(lab)
    after = lab.send(lab.images(1, exam=lab.exam()))
    assert after.acknowledged(), "the service takes no more uploads"


def _temporary_files(lab: Lab) -> list[str]:
    """What the services and the gateway left on the disk."""
    run = lab.faulty.system.layout.run
    return [str(path) for name in ("tmp", "nginx") for path in (run / name).rglob("*") if path.is_file()]
