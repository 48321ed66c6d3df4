"""One upload's file on its way from the form to Orthanc: a small one whole, a large one flowing, through the gate."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

import stamina

from services.upload_service.dicom import Gate, Header
from services.upload_service.errors import CutOff, FileEmpty
from services.upload_service.fingerprint import Fingerprint
from services.upload_service.form import OVERHEAD
from services.upload_service.places import STEP, Place
from services.upload_service.settings import Settings
from services.upload_service.syntaxes import DEFLATED
from shared.errors import OrthancAway, OrthancSlow, StoreFailed
from shared.orthanc import Orthanc, Stored

PARSED_AT_ONCE = 64 * 1024  # some 2 ms at the worst; a thread costs 0.1 ms
STORE_ATTEMPTS, STORE_SECONDS = 4, 5.0
PIECE = 256 * 1024  # Orthanc reads the head of a chunk byte by byte: send few, large ones


@dataclass(frozen=True)
class Received:
    """A file that Orthanc has: what it is, how large, its MD5 in hex, and its fingerprint for when another is there."""

    stored: Stored
    header: Header
    size: int
    digest: str
    fingerprint: Callable[[], Fingerprint]


class Receiving:
    """Takes one file. Nothing is stored unless the whole form was read and the gate has passed.

    `length` is that of the whole form, where the client told it.
    """

    def __init__(
        self, pieces: AsyncIterator[bytes], orthanc: Orthanc, settings: Settings, place: Place, length: int | None
    ) -> None:
        self._pieces = pieces
        self._orthanc = orthanc
        self._settings = settings
        self._place = place
        self._length = length
        self._gate = Gate(
            limit=settings.header_limit, inflated_limit=settings.inflated_limit, syntaxes=settings.syntaxes
        )
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0
        self._fingerprint: Fingerprint | None = None
        self._failure: Exception | None = None

    async def store(self) -> Received:
        """Read the file to its end and store it; raises the refusals of form, gate, places and Orthanc."""
        begin = bytearray()
        # Of what is too long to be held whole anyway, no more is held than the header needs.
        large = self._length is not None and self._length > self._settings.buffered_file + OVERHEAD
        whole = await self._read_until(begin, PARSED_AT_ONCE if large else self._settings.buffered_file)
        header = await self._header(begin, whole=whole)
        while header is None:
            whole = await self._read_until(begin, min(2 * len(begin), self._settings.header_limit))
            header = await self._header(begin, whole=whole)
        content = bytes(begin)
        begin.clear()
        self._count(content)
        inflates_to = self._settings.inflated_limit if header.rest.deflated else 0
        if whole:
            self._place.stores(len(content) + inflates_to)
            stored = await self._again(content)
            return self._received(stored, header, partial(Fingerprint, content, header))
        self._place.stores((self._length or len(content)) + inflates_to)
        self._fingerprint = flowing = Fingerprint(content, header)
        first = [flowing.header, content[header.pixels_at :]]
        del content  # the fingerprint keeps the header; once it has flowed by, the rest is held by nobody
        async with self._place.flowing():
            stored = await self._flow(first, header)
        return self._received(stored, header, lambda: flowing)

    def _received(self, stored: Stored, header: Header, fingerprint: Callable[[], Fingerprint]) -> Received:
        return Received(stored, header, self._size, self._md5.hexdigest(), fingerprint)

    async def _again(self, content: bytes) -> Stored:
        """Store a whole file; a connection that was refused or lost is tried again, since storing twice is harmless.

        So is an error of Orthanc's own: 1.10 makes a directory for one file while it tidies it away after another that
        was stored already, and answers 500. Not so silence: a second wait would outlast the client's patience.
        """
        retrying = stamina.retry_context(
            on=_may_be_tried_again, attempts=STORE_ATTEMPTS, timeout=STORE_SECONDS, wait_initial=0.1, wait_max=1.0
        )
        async for attempt in retrying:
            with attempt:
                return await self._orthanc.store(content)
        raise AssertionError("unreachable: the last attempt raises")

    async def _header(self, begin: bytearray, *, whole: bool) -> Header | None:
        """A small file is parsed here and now; a larger one may hold many elements, and goes to a thread."""
        parse = partial(self._gate.read, begin, whole=whole)
        # What few bytes inflate to may be much.
        at_once = len(begin) <= PARSED_AT_ONCE and DEFLATED.encode() not in begin
        return parse() if at_once else await asyncio.to_thread(parse)

    async def _read_until(self, begin: bytearray, size: int) -> bool:
        """Fill `begin` to at least `size` bytes; whether the form ended with that."""
        while len(begin) < size:
            piece = await anext(self._pieces, None)
            if piece is None:
                if not begin:
                    raise FileEmpty
                return True
            begin += piece
            self._place.holds(len(begin))
        return False

    async def _flow(self, first: list[bytes], header: Header) -> Stored:
        """Stream the file on; what stops it short (client, limit, form, gate) is raised instead of Orthanc's answer."""
        try:
            return await self._orthanc.store(self._rest(first, header))
        except Exception as error:
            if self._failure is not None:
                raise self._failure from None
            if isinstance(error, StoreFailed):  # what has flowed by cannot be sent again from here, but by the client
                raise OrthancAway from error
            raise

    async def _rest(self, first: list[bytes], header: Header) -> AsyncIterator[bytes]:
        while first:
            yield first.pop(0)
        held = bytearray()
        try:
            async for piece in self._pieces:
                held += piece
                if len(held) >= PIECE:
                    yield await self._taken(held, header)
            last = await self._taken(held, header)
            if header.rest.cut_off:
                raise CutOff
        except Exception as error:
            self._failure = error
            raise  # Orthanc sees a body cut off, and stores nothing
        if last:
            yield last

    async def _taken(self, held: bytearray, header: Header) -> bytes:
        """Count what was held and walk through it, in a thread where that may take long."""
        piece = bytes(held)
        held.clear()
        if header.rest.passes_over(len(piece)):
            header.rest.feed(piece)
        else:
            await asyncio.to_thread(header.rest.feed, piece)
        self._count(piece)
        if self._length is None:
            self._place.stores(self._size, step=STEP)
        return piece

    def _count(self, piece: bytes) -> None:
        self._md5.update(piece)
        self._size += len(piece)
        if self._fingerprint is not None:
            self._fingerprint.feed(piece)


def _may_be_tried_again(error: Exception) -> bool:
    return isinstance(error, OrthancAway | StoreFailed) and not isinstance(error, OrthancSlow)
