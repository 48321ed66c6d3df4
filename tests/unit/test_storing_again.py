"""A store that failed is tried again where that may help: storing a file twice is harmless."""

from collections.abc import AsyncIterable

import pytest

from shared.errors import OrthancAway, OrthancNonsense, OrthancSlow, Problem, StorageFull, StoreFailed, StoreRefused
from shared.orthanc import Stored
from tests.unit.dicom_bytes import dicom
from tests.unit.multipart import file_part, form
from tests.unit.orthanc_double import OrthancDouble
from tests.unit.receiving import NOISE, receive, refused


class _FailingFirst(OrthancDouble):
    def __init__(self, error: Problem) -> None:
        super().__init__()
        self._errors = [error]

    async def store(self, content: bytes | AsyncIterable[bytes]) -> Stored:
        if self._errors:
            raise self._errors.pop()
        return await super().store(content)


@pytest.mark.parametrize("error", [OrthancAway(), StoreFailed(what="HTTP 500 to a store")])
async def test_a_whole_file_is_stored_once_more_after_what_may_be_over(error: Problem) -> None:
    orthanc = _FailingFirst(error)
    await receive(form(file_part(dicom())), orthanc)
    assert orthanc.stored == [dicom()]


@pytest.mark.parametrize("error", [OrthancSlow(), StorageFull(), StoreRefused(), OrthancNonsense(what="no JSON")])
async def test_not_where_that_is_no_use(error: Problem) -> None:
    await refused(form(file_part(dicom())), _FailingFirst(error), type(error))


async def test_what_has_flowed_by_is_sent_again_by_the_client() -> None:
    large = form(file_part(dicom(pixels=NOISE)))
    await refused(large, _FailingFirst(StoreFailed(what="HTTP 500 to a store")), OrthancAway)
