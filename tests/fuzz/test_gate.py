"""The gate on damaged real files: a header or a refusal, within bounded steps, the same however the bytes come."""

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.upload_service import elements
from services.upload_service.dicom import Gate, Header, read_header, text_of
from services.upload_service.fingerprint import Fingerprint
from services.upload_service.syntaxes import TAKEN
from shared.errors import Problem
from tests.fuzz.mutations import Recipe, damaged, recipes

LIMIT = 8 * 1024 * 1024
INFLATED = 1024 * 1024
SYNTAXES = frozenset(TAKEN)
# pydicom tells of character sets that it does not know.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
thorough = settings(
    max_examples=400, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
Verdict = Header | Problem | None


def verdict(content: bytes) -> Verdict:
    try:
        return read_header(content, whole=True, limit=LIMIT, inflated_limit=INFLATED, syntaxes=SYNTAXES)
    except Problem as problem:
        return problem


def told(found: Verdict) -> object:
    if isinstance(found, Header):
        return found.least_size, found.pixels_at, sorted((e.tag, str(e.value)) for e in found.tags)
    return str(found)


@thorough
@given(recipes)
def test_a_whole_file_is_read_or_refused(recipe: Recipe) -> None:
    content = damaged(*recipe)
    found = verdict(content)
    assert isinstance(found, Header | Problem)
    if isinstance(found, Problem):
        assert 400 <= found.status < 500
        assert found.sentence("fr")
        return
    for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        assert text_of(found.tags, name)
    assert 132 <= found.pixels_at <= len(content)
    assert found.least_size <= len(content)


@thorough
@given(recipes, st.integers(50, 5000))
def test_it_is_the_same_however_its_bytes_come(recipe: Recipe, piece: int) -> None:
    """Read on as a large file is: what is held grows; what was found is what is found at once."""
    content = damaged(*recipe)
    gate = Gate(limit=LIMIT, inflated_limit=INFLATED, syntaxes=SYNTAXES)
    found: Verdict = None
    try:
        for size in range(200, len(content), piece):
            found = gate.read(content[:size], whole=False)
            if found:
                break
        else:
            found = gate.read(content, whole=True)
    except Problem as problem:
        found = problem
    whole = verdict(content)
    if isinstance(found, Header) and isinstance(whole, Header):
        assert told(found) == told(whole)
    elif isinstance(found, Problem):
        assert isinstance(whole, Problem)


@thorough
@given(recipes)
def test_what_it_costs_is_bounded_by_the_bytes(recipe: Recipe) -> None:
    content = damaged(*recipe)
    tracemalloc.start()
    try:
        found = verdict(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(content) + 6 * 1024 * 1024
    if isinstance(found, Header) and found.rest.walk and not found.rest.deflated:
        steps = elements.MOST - found.rest.walk._left
        assert steps <= len(content) // 4


@thorough
@given(recipes, recipes)
def test_what_passes_can_be_compared_with_what_is_stored(recipe: Recipe, other: Recipe) -> None:
    contents = [damaged(*recipe), damaged(*other)]
    headers = [(content, found) for content in contents if isinstance(found := verdict(content), Header)]
    for content, header in headers:
        assert Fingerprint(content, header).differing(Fingerprint(content, header)) == []
    if len(headers) == 2 and contents[0] != contents[1]:
        Fingerprint(*headers[0]).differing(Fingerprint(*headers[1]))
