"""A change of rights on every replica of preview: heard within 2 s, and within 30 s where nothing can be heard.

Of two replicas one is the system's own, and one this test's. A limit that is promised is asserted at three times it.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator

import httpx
import pytest

from services.registration_service.outbox import SOURCE
from shared.events import Event, ExamRightsChanged
from tests import dicom_files
from tests.integration import faulty, given
from tests.integration.faulty import Faulty
from tests.integration.queues import channel_of, send
from tests.integration.reconciling import image
from tests.integration.replicas import Replica, started
from tests.integration.shown import Shown
from tests.running import eventually, registered, upload

HEARD_SECONDS = 2.0
SHORT_SECONDS = 5.0
MARGIN = 3
ASKED = "examflow_rights_misses_total"
LISTENING, KEPT = "examflow_rights_listening", "examflow_rights_remembered"
ENDED = 'examflow_rights_changes_total{outcome="%s"}'


@pytest.fixture(scope="module")
def whole(request: pytest.FixtureRequest) -> Iterator[Faulty]:
    if request.config.getoption("--backends") != "local":
        pytest.skip("stops local processes")
    yield from faulty.make()


@pytest.fixture
def broken(whole: Faulty) -> Iterator[Faulty]:
    yield whole
    faulty.mend(whole)


@pytest.fixture(scope="module")
def replicas(whole: Faulty) -> Iterator[list[Replica]]:
    own = Replica(whole.system.service_url("preview"), whole.pid("preview"))
    with started(whole.system, "preview") as other:
        yield [own, other]


@pytest.fixture
def shown(broken: Faulty) -> Shown:
    exam, alice = given.name(), broken.running.client("alice")
    broken.running.open_exam(exam, "user:alice")
    orthanc_id = upload(alice, image(), examenID=exam).json()["data"]["ID"]
    return Shown(broken, exam, orthanc_id, registered(alice, orthanc_id)["imageID"])


def _within(seconds: float, ask: Callable[[], bool], what: str) -> None:
    eventually(ask, MARGIN * seconds, what)


def _refused(shown: Shown, replicas: list[Replica], status: int = 404) -> bool:
    return all(shown.status(replica) == status for replica in replicas)


def _listens(replica: Replica) -> bool:
    return replica.metric(LISTENING) == 1


def test_another_exams_principals_see_it_no_more(shown: Shown, replicas: list[Replica]) -> None:
    for replica in replicas:
        shown.remembered_by(replica)
    shown.for_bob_alone()
    _within(HEARD_SECONDS, lambda: _refused(shown, replicas), "both refuse")
    assert {shown.status(replica, "bob") for replica in replicas} == {200}
    assert all(replica.metric(ENDED % "taken") >= 1 for replica in replicas)


def test_what_was_told_of_a_series_ends_too(broken: Faulty, replicas: list[Replica]) -> None:
    exam, alice, series = given.name(), broken.running.client("alice"), dicom_files.fresh_uid()
    broken.running.open_exam(exam, "user:alice")
    uids = {"StudyInstanceUID": dicom_files.fresh_uid(), "SeriesInstanceUID": series}
    ids = [upload(alice, image(**uids), examenID=exam).json()["data"]["ID"] for _ in range(3)]
    first, *others = [Shown(broken, exam, one, registered(alice, one)["imageID"]) for one in ids]
    for replica in replicas:
        assert first.status(replica) == 200
        asked = replica.metric(ASKED)
        assert [one.status(replica) for one in others] == [200, 200]
        assert replica.metric(ASKED) == asked, "it was not told of its siblings"
    first.for_bob_alone()
    for one in others:
        _within(HEARD_SECONDS, functools.partial(_refused, one, replicas), "both refuse")


def test_an_image_that_was_moved_is_its_new_exams(shown: Shown, replicas: list[Replica]) -> None:
    other = given.name()
    shown.broken.running.open_exam(other, "user:bob")
    for replica in replicas:
        shown.remembered_by(replica)
    overseer = shown.broken.running.client("olga", "exams:all")
    overseer.put(f"/examens-medicaux/images/{shown.image_id}", json={"examenID": other}).raise_for_status()
    _within(HEARD_SECONDS, lambda: _refused(shown, replicas), "both refuse")
    assert {shown.status(replica, "bob") for replica in replicas} == {200}


def test_an_image_that_was_unlinked_is_its_uploaders(shown: Shown, replicas: list[Replica]) -> None:
    shown.broken.running.open_exam(shown.exam, "user:alice", "user:bob")
    for replica in replicas:
        shown.remembered_by(replica)
        assert shown.status(replica, "bob") == 200
    operator = shown.broken.running.client("olivia", "ops")
    operator.post(f"/ops/images/{shown.image_id}/unlink", json={"reason": "a test"}).raise_for_status()
    _within(HEARD_SECONDS, lambda: all(shown.status(r, "bob") == 404 for r in replicas), "both refuse")
    assert {shown.status(replica) for replica in replicas} == {200}


def test_a_deleted_image_is_unchanged_for_nobody(shown: Shown, replicas: list[Replica]) -> None:
    tag = shown.ask(replicas[0]).headers["etag"]
    for replica in replicas:
        shown.remembered_by(replica)
        assert shown.ask(replica, **{"If-None-Match": tag}).status_code == 304
    shown.broken.running.orthanc().delete(f"/instances/{shown.orthanc_id}").raise_for_status()
    shown.broken.running.client("olivia", "ops").post("/ops/reconcile", json={"full": True, "reason": "a test"})
    registered(shown.broken.running.client("alice"), shown.orthanc_id, "deleted")

    def gone() -> bool:
        return all(shown.ask(replica, **{"If-None-Match": tag}).status_code == 410 for replica in replicas)

    _within(HEARD_SECONDS, gone, "410 from both")


def test_while_the_broker_is_away_what_was_said_ends_with_its_time(shown: Shown) -> None:
    settings = {"EXAMFLOW_REGISTRATION__REMEMBERED_SECONDS": str(SHORT_SECONDS)}
    with (
        started(shown.broken.system, "preview", **settings) as one,
        started(shown.broken.system, "preview", **settings) as other,
    ):
        eventually(lambda: _listens(one) and _listens(other), what="both listen")
        shown.broken.stop("rabbitmq")
        eventually(lambda: not _listens(one) and not _listens(other), what="neither listens")
        for replica in (one, other):
            assert replica.is_ready()
            shown.remembered_by(replica)
        shown.for_bob_alone()
        _within(SHORT_SECONDS, lambda: _refused(shown, [one, other]), "both refuse")


def test_what_changed_while_the_broker_was_away_holds_when_it_is_back(shown: Shown, replicas: list[Replica]) -> None:
    shown.broken.stop("rabbitmq")
    eventually(lambda: not any(_listens(replica) for replica in replicas), what="neither listens")
    shown.broken.start("rabbitmq")
    for replica in replicas:
        shown.remembered_by(replica)
    shown.for_bob_alone()
    eventually(lambda: all(_listens(replica) for replica in replicas), 60, "both listen again")
    _within(HEARD_SECONDS, lambda: _refused(shown, replicas), "both refuse")


def test_a_signed_url_shows_on_a_replica_that_has_not_heard_of_its_rights(
    shown: Shown, replicas: list[Replica]
) -> None:
    """And one of before on none: what a replica remembers may be too old, registration's answer of now is not."""
    one, other = replicas
    shown.broken.stop("rabbitmq")
    eventually(lambda: not any(_listens(replica) for replica in replicas), what="neither listens")
    before = shown.signed(one)
    for replica in replicas:
        shown.remembered_by(replica)
    shown.broken.running.open_exam(shown.exam, "user:alice", "user:bob")
    assert httpx.get(other.url + before, trust_env=False).status_code == 200  # it cannot know better yet
    with started(shown.broken.system, "preview") as new:
        after = shown.signed(new)
        assert after != before
        statuses = [httpx.get(other.url + url, trust_env=False).status_code for url in (after, before)]
    assert statuses == [200, 410]


def test_a_lost_connection_forgets_all(shown: Shown, replicas: list[Replica]) -> None:
    _, other = replicas
    eventually(lambda: _listens(other), what="it listens")
    shown.remembered_by(other)
    assert other.metric(KEPT) >= 1
    management = shown.broken.running.at("RABBITMQ_MANAGEMENT_URL")

    def holders() -> list[str]:
        found = [one for one in management.get("/api/connections").json() if one.get("user") == "preview_rights"]
        return [one["name"] for one in found] if len(found) == len(replicas) else []

    before = {queue["name"] for queue in management.get("/api/queues/%2F").json()}
    for connection in eventually(holders, what="the replicas' connections"):
        management.delete(f"/api/connections/{connection}").raise_for_status()
    eventually(lambda: other.metric(KEPT) == 0, what="nothing kept")

    def anew() -> bool:
        names = {queue["name"] for queue in management.get("/api/queues/%2F").json()}
        rights = {name for name in names if name.startswith("preview.rights.")}
        return len(rights) == len(replicas) and not rights & before

    eventually(anew, what="a queue of another name for each, and none left of before")
    eventually(lambda: _listens(other), what="it listens again")


async def _say(broken: Faulty, user: str, exam: str, epoch: int, **properties: str) -> None:
    told = ExamRightsChanged(examen_id=exam, epoch=epoch)
    event = Event.about(told, source=SOURCE, subject=exam, correlation_id=None)
    async with channel_of(broken.system, user) as channel:
        body = event.model_dump_json(by_alias=True).encode()
        await send(channel, body, ExamRightsChanged.event_type, "medical-images", **properties)


async def test_an_answer_older_than_what_was_told_is_refused(shown: Shown, replicas: list[Replica]) -> None:
    own = replicas[0]
    eventually(lambda: _listens(own), what="it listens")
    shown.remembered_by(own)
    await _say(shown.broken, "registration", shown.exam, 4711, user_id="registration")
    _within(HEARD_SECONDS, lambda: shown.status(own) == 503, "it refuses")
    answer = shown.ask(own)
    assert (answer.json()["type"], answer.headers["retry-after"]) == ("/problems/rights-outdated", "1")


@pytest.mark.parametrize("properties", [{}, {"user_id": "admin"}])
async def test_nobody_else_is_believed(shown: Shown, replicas: list[Replica], properties: dict[str, str]) -> None:
    own = replicas[0]
    eventually(lambda: _listens(own), what="it listens")
    shown.remembered_by(own)
    before = own.metric(ENDED % "unbelieved")
    await _say(shown.broken, "admin", shown.exam, 4711, **properties)
    eventually(functools.partial(_rose, own, ENDED % "unbelieved", before), what="the message")
    shown.remembered_by(own)


async def test_where_registration_cannot_be_read_nothing_is_kept(shown: Shown, replicas: list[Replica]) -> None:
    own = replicas[0]
    eventually(lambda: _listens(own), what="it listens")
    shown.remembered_by(own)
    async with channel_of(shown.broken.system, "registration") as channel:
        await send(channel, b"{}", ExamRightsChanged.event_type, "medical-images", user_id="registration")
    eventually(lambda: own.metric(KEPT) == 0, what="nothing kept")
    shown.remembered_by(own)


def _rose(replica: Replica, name: str, before: float) -> bool:
    return replica.metric(name) > before


def test_its_queue_goes_with_it(broken: Faulty) -> None:
    management = broken.running.at("RABBITMQ_MANAGEMENT_URL")

    def queues() -> set[str]:
        names = {queue["name"] for queue in management.get("/api/queues/%2F").json()}
        return {name for name in names if name.startswith("preview.rights.")}

    with contextlib.ExitStack() as stack:
        before = queues()
        stack.enter_context(started(broken.system, "preview"))
        [made] = eventually(lambda: queues() - before, what="another queue")
    eventually(lambda: made not in queues(), what="the end of its queue")
