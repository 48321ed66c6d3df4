"""The table of rights is whole: each route of each service has its rows, and nothing else does."""

import pytest

from tests.rights.happenings import HAPPENINGS
from tests.rights.reading import Row, outcomes, rows
from tests.rights.roles import ROLES
from tests.rights.routes import not_taken, routes
from tests.rights.signing import SIGNED

# These hide nothing and change nothing of anybody's: one row is enough, and it need not be about a thing.
_STATUSES = {"200", "200-", "201", "202", "204", "400", "400+", "401", "403", "404", "409", "410"}


def test_every_route_has_a_row() -> None:
    assert routes() - {row.route for row in rows()} == set(), "write their rows into tests/rights/table.txt"


def test_every_row_has_a_route() -> None:
    assert {row.route for row in rows()} - routes() == set(), "these routes are gone: take their rows out"


def test_routes_that_no_document_names_are_found_too() -> None:
    found = routes()
    assert ("registration", "GET", "/internal/instances/{orthancInstanceId}") in found
    assert ("upload", "GET", "/metrics") in found
    assert ("preview", "HEAD", "/openapi.json") in found
    assert ("reconciler", "GET", "/health/live") in found
    assert ("preview", "GET", "/dicom/wado/{sopInstanceUID}") in found


def test_no_row_stands_there_twice() -> None:
    seen = [(*row.route, row.about) for row in rows()]
    assert sorted(seen) == sorted(set(seen))


@pytest.mark.parametrize("row", rows(), ids=str)
def test_a_row_says_something_of_each_role(row: Row) -> None:
    assert set(row.expected) <= set(ROLES)
    assert len(row.expected) == 15
    assert set(row.expected.values()) <= _STATUSES
    assert row.gateway in ("yes", "no", "own")


def test_a_row_that_nobody_may_pass_or_everybody_would_prove_nothing() -> None:
    for row in rows():
        good = {cell.startswith("2") for cell in row.expected.values()}
        if row.about not in ("-", "elsewhere", "unregistered", *SIGNED):
            assert good == {True, False}, row


def test_the_happenings_are_the_rows_of_outcomes() -> None:
    assert {outcome.happening for outcome in outcomes()} == HAPPENINGS
    assert all(len(set(outcome.expected.values())) > 1 for outcome in outcomes())


def test_methods_that_no_route_takes() -> None:
    known = {("upload", "GET", "/a/{b}"), ("upload", "POST", "/a/images"), ("preview", "PUT", "/a/{b}")}
    missing = not_taken(known)
    assert ("upload", "POST", "/a/{b}") in missing
    assert ("upload", "GET", "/a/images") not in missing  # the other route's {b} fits it
    assert ("upload", "PUT", "/a/images") in missing
    assert ("preview", "GET", "/a/{b}") in missing
