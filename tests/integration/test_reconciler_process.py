"""The reconciler's process in a whole system: what comes by C-STORE, what the broker missed, what was killed."""

import functools
from typing import Any

from tests.integration import given, scratch
from tests.integration.faulty import Faulty
from tests.integration.reconciling import image, store_scu
from tests.running import eventually, registered, upload

SETTINGS = {
    "EXAMFLOW_RECONCILER__GRACE_SECONDS": "3",
    "EXAMFLOW_RECONCILER__REPUBLISH_SECONDS": "[3]",
    "EXAMFLOW_RECONCILER__COMPARE_EVERY_SECONDS": "2",
    "EXAMFLOW_RECONCILER__GAUGES_PAUSE_SECONDS": "1",
}


def _exam(broken: Faulty, accession: str | None = None) -> str:
    exam = given.name()
    broken.running.open_exam(exam, "user:alice", accessionNumber=accession)
    return exam


def _registered(broken: Faulty, exam: str) -> list[tuple[Any, ...]]:
    """Origin, called by whom, and state of each image registered under the exam."""
    query = """
        SELECT origin->>'kind', origin->>'aet', state FROM images_medicales
        JOIN intake_ledger ON orthanc_id = "orthancInstanceId" WHERE "examenID" = :exam
    """
    return scratch.ask(broken.system, "examflow", query, exam=exam)


def _gauge(broken: Faulty, name: str) -> float:
    text = broken.running.at("EXAMFLOW_URL").get(f"{broken.system.service_url('reconciler')}/metrics").text
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))


def test_images_by_c_store_register_like_uploads(broken: Faulty) -> None:
    accession = given.name("A")
    exam = _exam(broken, accession)
    store_scu(broken.system, [image(accession) for _ in range(50)])
    eventually(lambda: len(_registered(broken, exam)) == 50, 30, "50 images registered")
    assert set(_registered(broken, exam)) == {("modality", "STORESCU", "registered")}
    listed = broken.running.client().get(f"/examens-medicaux/{exam}/images?limit=200").json()["items"]
    assert len({item["sopInstanceUID"] for item in listed}) == 50


def test_uploaded_while_the_broker_is_away(broken: Faulty) -> None:
    exam = _exam(broken)
    broken.stop("rabbitmq")
    answer = upload(broken.running.client(), image(), examenID=exam, description="knee")
    assert (answer.status_code, answer.json()["data"]["event"]) == (201, "pending")
    orthanc_id = answer.json()["data"]["ID"]
    assert broken.running.orthanc().get(f"/instances/{orthanc_id}/metadata/1024").status_code == 200
    assert broken.lacks("reconciler") == {"rabbitmq"}

    broken.start("rabbitmq")
    found = registered(broken.running.client(), orthanc_id)
    record = broken.running.client().get(f"/examens-medicaux/images/{found['imageID']}").json()
    assert str(record).count(exam) == 1
    assert "knee" in str(record)

    def taken_off() -> bool:
        return broken.running.orthanc().get(f"/instances/{orthanc_id}/metadata/1024").status_code == 404

    eventually(taken_off, what="metadata 1024 gone")


def test_killed_under_load_it_misses_and_doubles_nothing(broken: Faulty) -> None:
    accession = given.name("A")
    exam = _exam(broken, accession)
    for _ in range(4):
        store_scu(broken.system, [image(accession) for _ in range(15)])
        broken.kill("reconciler")
    eventually(lambda: len(_registered(broken, exam)) == 60, 40, "60 images registered")
    eventually(lambda: _gauge(broken, "examflow_oldest_unregistered_seconds") == 0, what="nothing undecided")
    assert _gauge(broken, "examflow_images_unaccounted") == 0


def test_while_registration_is_away_it_tells_again(broken: Faulty) -> None:
    accession = given.name("A")
    exam = _exam(broken, accession)
    broken.stop("registration")
    store_scu(broken.system, [image(accession) for _ in range(5)])
    told = "SELECT 1 FROM intake_ledger WHERE state = 'seen' AND publishes > 1"
    ask = functools.partial(scratch.ask, broken.system, "examflow", told)
    eventually(lambda: len(ask()) == 5, what="each told a second time")
    broken.start("registration")
    eventually(lambda: len(_registered(broken, exam)) == 5, 40, "5 images registered")


def test_the_change_feed_is_cleared(broken: Faulty) -> None:
    accession = given.name("A")
    exam = _exam(broken, accession)
    broken.stop("reconciler")
    store_scu(broken.system, [image(accession) for _ in range(5)])
    broken.running.orthanc().delete("/changes").raise_for_status()
    broken.start("reconciler")
    eventually(lambda: len(_registered(broken, exam)) == 5, 40, "5 images registered")


def test_deleted_in_orthanc_the_preview_is_gone(broken: Faulty) -> None:
    exam, alice = _exam(broken), broken.running.client()
    orthanc_id = upload(alice, image(), examenID=exam).json()["data"]["ID"]
    record = registered(alice, orthanc_id)["imageID"]
    assert alice.get(f"/dicom/instances/{orthanc_id}/preview").status_code == 200
    broken.running.orthanc().delete(f"/instances/{orthanc_id}").raise_for_status()
    registered(alice, orthanc_id, "deleted")
    # As soon as a change of rights is heard: 2 s, asserted at three times that.
    eventually(lambda: alice.get(f"/dicom/instances/{orthanc_id}/preview").status_code == 410, 6, "410")
    assert alice.get(f"/examens-medicaux/images/{record}").status_code == 200


def test_servers_that_were_away_end_no_loop(broken: Faulty) -> None:
    accession = given.name("A")
    exam, live = _exam(broken, accession), broken.pid("reconciler")
    broken.stop("postgres", "orthanc", "rabbitmq")
    eventually(lambda: broken.lacks("reconciler") == {"orthanc", "postgresql", "rabbitmq"}, what="nothing there")
    broken.start("orthanc", "postgres", "rabbitmq")
    broken.becomes_ready()
    store_scu(broken.system, [image(accession) for _ in range(5)])
    eventually(lambda: len(_registered(broken, exam)) == 5, 40, "5 images registered")
    assert broken.pid("reconciler") == live
