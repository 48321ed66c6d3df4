"""One file taken by the upload service's own parts, with an Orthanc that only remembers."""

from typing import Any

import pytest

from services.upload_service.form import UploadForm
from services.upload_service.places import Places
from services.upload_service.receiving import PIECE, Received, Receiving
from services.upload_service.settings import Settings
from services.upload_service.upload import _checked
from shared.errors import Problem
from shared.permission import Caller
from tests.unit.multipart import CONTENT_TYPE, arriving
from tests.unit.orthanc_double import OrthancDouble
from tests.unit.settings import SHARED

BUFFERED = 10_000
LARGE = 4 * PIECE
MIB = 1024 * 1024
NOISE = bytes(number * number % 251 for number in range(LARGE))
COMMENTS = ("PatientComments", "ImageComments", "AdditionalPatientHistory")
ALICE = Caller("alice", frozenset({"dicom:upload"}))
WRITER = Caller("wanda", frozenset({"dicom:upload", "images:write"}))


async def receive(
    body: bytes,
    orthanc: OrthancDouble,
    *,
    chunk: int = 65536,
    caller: Caller = WRITER,
    limit: int = 10**9,
    length: int | None = None,
    **more: Any,
) -> Received:
    settings = Settings(**{**SHARED, "buffered_file": BUFFERED, "header_limit": 100_000, **more})
    upload = UploadForm(CONTENT_TYPE, arriving(body, chunk), limit)
    with Places(settings.places).taken() as place:
        return await Receiving(_checked(upload, caller), orthanc, settings, place, length).store()


async def refused(body: bytes, orthanc: OrthancDouble, kind: type[Problem], **more: Any) -> None:
    with pytest.raises(Problem) as problem:
        await receive(body, orthanc, **more)
    assert type(problem.value) is kind
    assert orthanc.stored == []
