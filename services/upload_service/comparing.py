"""Orthanc says AlreadyStored by name alone: whether the image is the same is decided here."""

from services.upload_service.dicom import Header, read_header
from services.upload_service.errors import AlreadyOther
from services.upload_service.fingerprint import Fingerprint
from services.upload_service.receiving import Received
from shared.errors import OrthancAway
from shared.orthanc import Orthanc

TAGS_NAMED = 20


async def must_be_the_same(received: Received, orthanc: Orthanc, header_limit: int) -> None:
    """Raise AlreadyOther, naming the tags that differ, where another image stands under the file's identity.

    Equal digests settle it; else the data sets are compared, since C-STORE rewrites the file meta information.
    """
    stored = received.stored
    if stored.status == "Success" or await orthanc.digest(stored.instance_id) == received.digest:
        return
    differing = received.fingerprint().differing(await _stored_fingerprint(stored.instance_id, orthanc, header_limit))
    if differing:
        more = f" (+{len(differing) - TAGS_NAMED})" if len(differing) > TAGS_NAMED else ""
        raise AlreadyOther(tags=", ".join(differing[:TAGS_NAMED]) + more)


async def _stored_fingerprint(instance_id: str, orthanc: Orthanc, header_limit: int) -> Fingerprint:
    """Of the file in Orthanc, read as a stream."""
    begin = bytearray()
    header: Header | None = None
    found: Fingerprint | None = None
    wanted = 64 * 1024
    async with orthanc.file(instance_id) as answer:
        if answer is None:
            raise OrthancAway  # deleted a moment ago: storing it again will succeed
        async for piece in answer.aiter_raw():
            if found:
                found.feed(piece)
                continue
            begin += piece
            if len(begin) >= wanted:
                header = read_header(bytes(begin), whole=False, limit=header_limit)
                found = Fingerprint(bytes(begin), header) if header else None
                wanted = 2 * len(begin)
    if found is None:
        header = read_header(bytes(begin), whole=True, limit=header_limit)
        assert header is not None, "a whole file has a header or is refused"
        found = Fingerprint(bytes(begin), header)
    return found
