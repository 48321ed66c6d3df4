"""One image twice, one name for two images, two doors at once, two exams for one image."""

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest

from tests.chaos.balance import Allowed
from tests.chaos.clients import UPLOADER, Clients
from tests.chaos.images import OTHER_PATIENT_ID, OTHER_PATIENT_NAME, Image
from tests.chaos.lab import Lab
from tests.chaos.registering import BY_HTTP, Registering
from tests.chaos.stores import ANNOUNCED

TIMES = 16


def _alternating(first: Iterable[Image], second: Iterable[Image]) -> list[Image]:
    """Pairs side by side in the list are sent at the same time: neither of a pair is always the first."""
    pairs = zip(first, second, strict=True)
    turned = (pair if number % 2 else pair[::-1] for number, pair in enumerate(pairs))
    return [*itertools.chain.from_iterable(turned)]


def _statuses(clients: Clients) -> dict[str, Counter[int]]:
    """What each image was answered, by its SOP Instance UID."""
    found: dict[str, Counter[int]] = {}
    for answer in clients.answers:
        found.setdefault(answer.image.sop_uid, Counter())[answer.status] += 1
    return found


@pytest.mark.row("the same file 16 times at once", "one row: 201 once, 200 for the others")
def test_same_file_sixteen_times_at_once(lab: Lab) -> None:
    small = [image for _ in range(lab.scale.images // 8) for image in lab.images(1, exam=lab.exam())]
    large = lab.images(1, exam=lab.exam(), large=True)
    same = [image for image in (*small, *large) for _ in range(TIMES)]
    clients = lab.send(same, clients=lab.clients(tries=lab.scale.tries, at_once=TIMES))
    found = lab.balance()
    statuses = _statuses(clients)
    assert all(counts[201] + counts[200] == TIMES for counts in statuses.values())
    assert {statuses[image.sop_uid][201] for image in small} == {1}
    assert statuses[large[0].sop_uid][201] <= 1  # on a busy machine the first may be told 503, and be stored
    assert found.acknowledged == found.registered == found.sent


@pytest.mark.row(
    "same SOP Instance UID, other data set: after the first, and at once with it",
    "409 that names the tags; nothing overwritten",
)
def test_same_uid_other_data_set(lab: Lab) -> None:
    exam, half = lab.exam(), lab.scale.images // 2
    early, raced = lab.images(half, exam=exam), lab.images(half, exam=exam)
    lab.send(early)
    later = lab.send([_renamed(image) for image in early])
    at_once = lab.send(_alternating(raced, map(_renamed, raced)))
    found = lab.balance()
    assert {answer.status for answer in later.answers} == {409}
    assert _statuses(at_once) == {image.sop_uid: Counter({201: 1, 409: 1}) for image in raced}
    refused = [answer for answer in lab.answers if not answer.acknowledged]
    assert {answer.problem for answer in refused} == {"already-other"}
    assert all("PatientName" in a.message and "CT2" not in a.message for a in refused), refused[0].message
    promised = {answer.orthanc_id: answer.image.digest for answer in lab.answers if answer.acknowledged}
    assert promised == {orthanc_id: stored.digest for orthanc_id, stored in lab.orthanc.instances().items()}
    assert found.acknowledged == found.registered == found.sent


def _renamed(image: Image) -> Image:
    return replace(image, patient_name=OTHER_PATIENT_NAME)


@pytest.mark.row("an equal image uploaded after it came by C-STORE, and at once with it", "200; one row")
def test_equal_image_after_c_store(lab: Lab) -> None:
    exam, half = lab.exam(), lab.scale.images // 2
    early, raced = lab.images(half, exam=exam), lab.images(half, exam=exam)
    lab.store(early)
    rewritten = lab.orthanc.instances()
    after = lab.send(early)
    with lab.storing(raced):
        at_once = lab.send(raced)
    found = lab.balance()
    assert all(rewritten[image.orthanc_id].digest != image.digest for image in early), "it kept the file meta"
    assert {(answer.status, answer.store) for answer in after.answers} == {(200, "AlreadyStored")}
    assert {answer.status for answer in at_once.answers} <= {200, 201}
    assert found.acknowledged == found.registered == found.sent


@pytest.mark.row(
    "same SOP Instance UID, other PatientID: after the first, and at once with it",
    "one row; the other is `refused` with `sop_uid_in_use`",
)
def test_same_uid_other_patient(lab: Lab) -> None:
    exam, half = lab.exam(), lab.scale.images // 2
    early, raced = lab.images(half, exam=exam), lab.images(half, exam=exam)
    lab.send(early)
    assert lab.balance().registered == {image.orthanc_id for image in early}
    lab.send([_of_another(image) for image in early])
    lab.send(_alternating(raced, map(_of_another, raced)))
    found = lab.balance()
    assert found.acknowledged == found.stored == found.sent == found.registered | found.refused
    assert found.registered >= {image.orthanc_id for image in early}
    for image in raced:
        assert len(found.registered & {image.orthanc_id, _of_another(image).orthanc_id}) == 1
    ledger = lab.tables.ledger()
    assert {ledger[orthanc_id].code for orthanc_id in found.refused} == {"sop_uid_in_use"}


def _of_another(image: Image) -> Image:
    return replace(image, patient_id=OTHER_PATIENT_ID)


@pytest.mark.row("registered by HTTP and by event at once", "one row, with what HTTP said")
def test_http_and_event_at_once(lab: Lab) -> None:
    url, token = lab.faulty.system.url + "/api", lab.running.token(UPLOADER)
    clients = Registering(url, token, tries=1, pause_at_most=lab.scale.pause_at_most).begin_counting()
    lab.send(lab.images(exam=lab.exam()), clients=clients)
    found = lab.balance()
    assert found.acknowledged == found.registered == found.sent
    assert {record.description for record in lab.tables.records()} == {BY_HTTP}
    assert len(clients.registrations) == len(found.sent)
    for counts in clients.registrations.values():
        assert counts.keys() <= {200, 201, 503}
        assert counts[200] + counts[201] >= 1
        assert counts[201] <= 1


@pytest.mark.row("two exams for one image, at once", "the first, and `conflictExam` names the other, which is told")
def test_two_exams_for_one_image(lab: Lab) -> None:
    one, other = lab.exam(), lab.exam()
    some = lab.images(exam=one)
    lab.send(_alternating(some, (replace(image, exam=other) for image in some)))
    found = lab.balance(Allowed(conflict=True))
    assert found.acknowledged == found.registered == found.sent
    exams = {record.orthanc_id: record.exam for record in lab.tables.records()}
    conflicts = {orthanc_id: entry.conflict_exam for orthanc_id, entry in lab.tables.ledger().items()}
    told = {(m.orthanc_id, m.data["examenID"]) for m in lab.queues.messages(ANNOUNCED) if m.kind == "image.refused"}
    for orthanc_id in found.sent:
        assert {exams[orthanc_id], conflicts[orthanc_id]} == {one, other}
        assert (orthanc_id, conflicts[orthanc_id]) in told
