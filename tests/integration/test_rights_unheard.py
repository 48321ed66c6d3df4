"""Changes of rights that previews cannot hear of: the broker is away, or a connection to it was lost.

A limit that is promised is asserted at three times it.
"""

import httpx

from tests.integration.replicas import Replica, started
from tests.integration.rights import HEARD_SECONDS, KEPT, listens, refused, within
from tests.integration.shown import Shown
from tests.running import eventually

SHORT_SECONDS = 5.0


def test_while_the_broker_is_away_what_was_said_ends_with_its_time(shown: Shown) -> None:
    settings = {"EXAMFLOW_REGISTRATION__REMEMBERED_SECONDS": str(SHORT_SECONDS)}
    with (
        started(shown.broken.system, "preview", **settings) as one,
        started(shown.broken.system, "preview", **settings) as other,
    ):
        eventually(lambda: listens(one) and listens(other), what="both listen")
        shown.broken.stop("rabbitmq")
        eventually(lambda: not listens(one) and not listens(other), what="neither listens")
        for replica in (one, other):
            assert replica.is_ready()
            shown.remembered_by(replica)
        shown.for_bob_alone()
        within(SHORT_SECONDS, lambda: refused(shown, [one, other]), "both refuse")


def test_what_changed_while_the_broker_was_away_holds_when_it_is_back(shown: Shown, replicas: list[Replica]) -> None:
    shown.broken.stop("rabbitmq")
    eventually(lambda: not any(listens(replica) for replica in replicas), what="neither listens")
    for replica in replicas:
        shown.remembered_by(replica)
    shown.for_bob_alone()
    shown.broken.start("rabbitmq")
    eventually(lambda: all(listens(replica) for replica in replicas), 60, "both listen again")
    within(HEARD_SECONDS, lambda: refused(shown, replicas), "both refuse")


def test_a_signed_url_shows_on_a_replica_that_has_not_heard_of_its_rights(
    shown: Shown, replicas: list[Replica]
) -> None:
    """And one of before on none: what a replica remembers may be too old, registration's answer of now is not."""
    one, other = replicas
    shown.broken.stop("rabbitmq")
    eventually(lambda: not any(listens(replica) for replica in replicas), what="neither listens")
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
    eventually(lambda: listens(other), what="it listens")
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
    eventually(lambda: listens(other), what="it listens again")
