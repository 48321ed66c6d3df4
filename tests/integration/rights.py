"""When a change of rights holds on the replicas of preview, and what they say of it."""

from collections.abc import Callable

from tests.integration.replicas import Replica
from tests.integration.shown import Shown
from tests.running import eventually

HEARD_SECONDS = 2.0
MARGIN = 3
LISTENING, KEPT = "examflow_rights_listening", "examflow_rights_remembered"


def within(seconds: float, ask: Callable[[], bool], what: str) -> None:
    eventually(ask, MARGIN * seconds, what)


def refused(shown: Shown, replicas: list[Replica], status: int = 404) -> bool:
    return all(shown.status(replica) == status for replica in replicas)


def listens(replica: Replica) -> bool:
    return replica.metric(LISTENING) == 1
