"""The gate alone on the hostile files: each refused by itself, or by the limit that its length meets before."""

import pytest

from services.upload_service.dicom import read_header
from services.upload_service.syntaxes import TAKEN
from shared.errors import Problem
from tests.hostile.files import MIB, corpus

HEADER = 8 * MIB
FILES = corpus(20 * MIB)
NOT_THE_GATES = {"0 bytes", "over the limit"}  # the form says so before


@pytest.mark.parametrize("name", sorted(FILES.keys() - NOT_THE_GATES))
def test_each_is_refused(name: str) -> None:
    hostile = FILES[name]
    begin = hostile.content[:HEADER]
    with pytest.raises(Problem) as refused:
        read_header(begin, whole=len(begin) < HEADER, limit=HEADER, syntaxes=frozenset(TAKEN))
    assert (refused.value.status, refused.value.code) == (hostile.status, hostile.code)
