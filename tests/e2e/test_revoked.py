"""Rights that are taken away end at every route that shows an image, and each of them leaves its trace.

The routes are those of the table of rights: a new one is asked here by itself.
"""

import functools
import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.rights import asking
from tests.rights.reading import Row, rows
from tests.rights.things import Things
from tests.running import Running, eventually

# Of what registration had said before nothing is believed two seconds after a change; three times that.
ENDED_SECONDS = 6.0
SHOWN = {"200", "200+"}


def _about_a_registered_image() -> list[Row]:
    """Those that an exam's principal may use and a stranger may not."""
    of_preview = [row for row in rows() if row.service == "preview" and row.about == "registered"]
    return [row for row in of_preview if row.expected["princ"] in SHOWN and row.expected["stranger"] not in SHOWN]


@pytest.fixture
def things(running: Running) -> Iterator[Things]:
    made = Things(running)
    yield made
    made.close()


def _ask(row: Row, things: Things, mark: str) -> httpx.Response:
    image = things.registered
    path, sent = asking.path(row, image, things), asking.request(row, image, "princ", things)
    return things.ask("gateway", "princ", row.method, path, headers={"X-Correlation-ID": mark}, **sent)


def test_they_end_at_every_route_and_each_is_on_record(things: Things) -> None:
    asked = [(row, str(uuid.uuid4()), str(uuid.uuid4())) for row in _about_a_registered_image()]
    assert len(asked) > 25
    for row, before, _ in asked:
        assert _ask(row, things, before).status_code == 200, row
    body = {"principals": ["user:somebody-else"]}
    things.ask("registration", "his", "PUT", f"/examens-medicaux/{things.exam}", json=body).raise_for_status()
    for row, _, after in asked:
        eventually(functools.partial(_is_over, row, things, after), ENDED_SECONDS, f"the end of {row}")
    for row, before, after in asked:
        if row.expected["stranger"] == "404":  # a search is no access to this exam
            for mark, outcome in ((before, "done"), (after, "denied")):
                eventually(functools.partial(_is_on_record, things, mark, outcome), what=f"{row} on record: {outcome}")


def _is_over(row: Row, things: Things, mark: str) -> bool:
    answer = _ask(row, things, mark)
    return answer.status_code == 404 or (answer.status_code == 200 and answer.content == b"[]")


def _is_on_record(things: Things, mark: str, outcome: str) -> bool:
    """Whether the exam's list of accesses tells of the request."""
    path = f"/examens-medicaux/{things.exam}/accesses"
    told = things.ask("registration", "auditor", "GET", path, params={"limit": 1000}).json()["items"]
    return any(one["outcome"] == outcome for one in told if one["correlationId"] == mark)
