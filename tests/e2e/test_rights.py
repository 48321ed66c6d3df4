"""The table of rights, asked of the running system: every route, every role."""

from collections.abc import Iterator

import pytest

from tests.rights import happenings, walking
from tests.rights.reading import Outcome, Row, outcomes, rows
from tests.rights.routes import not_taken, routes
from tests.rights.things import Things
from tests.running import Running


@pytest.fixture(scope="module")
def things(running: Running) -> Iterator[Things]:
    made = Things(running)
    yield made
    made.close()


@pytest.mark.parametrize("row", rows(), ids=str)
def test_each_role_gets_what_the_table_says(row: Row, things: Things) -> None:
    assert list(walking.walk(row, things)) == []


@pytest.mark.parametrize("outcome", outcomes(), ids=str)
def test_of_an_image_becomes_what_the_table_says(outcome: Outcome, things: Things) -> None:
    assert list(happenings.walk(outcome, things)) == []


def test_no_route_answers_to_another_method(things: Things) -> None:
    assert list(walking.refuses_other_methods(not_taken(routes()), things)) == []
