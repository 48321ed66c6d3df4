"""What several of these tests begin with."""

import warnings
from collections.abc import Iterator

import pytest

from tests.e2e.ward import Ward
from tests.running import Running


@pytest.fixture(scope="module")
def ward(running: Running) -> Iterator[Ward]:
    """Alice's and bob's exams; the client says with a warning that it speaks without TLS."""
    with warnings.catch_warnings(action="ignore"):
        yield Ward(running)
