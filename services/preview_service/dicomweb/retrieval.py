"""WADO-RS (PS3.18, 10.4): files and frames as parts of one body, as they flow from Orthanc, each opened in its turn.

What is asked for without a transfer syntax comes as it is stored, frames excepted: those are pixels as they are
(docs/decisions/0029-dicomweb.md). Decoding is Orthanc's work, and it holds all frames in memory for it: few at once,
and none too large.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence

from services.preview_service.access import Instance
from services.preview_service.dicomweb.accept import ANY, EXPLICIT_LITTLE, Wish
from services.preview_service.dicomweb.metadata import Metadata
from services.preview_service.dicomweb.parts import Related, first_part
from services.preview_service.dicomweb.places import Places
from services.preview_service.dicomweb.source import Source
from services.preview_service.errors import (
    AmbiguousUid,
    FrameUnknown,
    Gone,
    NoPicture,
    NotAcceptable,
    TooManyPixels,
)
from services.preview_service.negotiation import DICOM
from services.preview_service.settings import DicomwebSettings

OCTETS = "application/octet-stream"
# Pixels stand in these as Explicit VR Little Endian has them: implicit, explicit and deflated.
_AS_THEY_ARE = {"1.2.840.10008.1.2", EXPLICIT_LITTLE, "1.2.840.10008.1.2.1.99"}
_BIG_ENDIAN = "1.2.840.10008.1.2.2"  # no syntax of DICOMweb
_JPEG = "1.2.840.10008.1.2.4."
# What Orthanc decodes itself. GDCM, which it has for JPEG 2000, overruns the small stack of the thread that answers
# DICOMweb, and Orthanc ends (1.10.1, GDCM 3.0.21): such files are given as they are stored, or as pictures.
DECODED = _AS_THEY_ARE | {_BIG_ENDIAN, "1.2.840.10008.1.2.5", *(_JPEG + number for number in ("50", "51", "57", "70"))}


class Retrieval:
    """One instance serves all requests."""

    def __init__(self, source: Source, metadata: Metadata, settings: DicomwebSettings) -> None:
        self._source = source
        self._metadata = metadata
        self._settings = settings
        self._places = Places(settings.at_once, settings.patience_seconds)

    async def files(
        self, related: Related, instances: Iterable[Instance], wanted: Sequence[Wish]
    ) -> AsyncIterator[bytes]:
        """The body of an answer with these files. One that was deleted meanwhile is left out, unless all were."""
        given = 0
        for instance in instances:
            async with contextlib.AsyncExitStack() as stack:
                try:
                    pieces = await stack.enter_async_context(self.file(instance, wanted))
                except Gone:
                    continue
                given += 1
                yield related.head(DICOM)
                async for piece in pieces:
                    yield piece
        if not given:
            raise Gone
        yield related.end()

    @contextlib.asynccontextmanager
    async def file(self, instance: Instance, wanted: Sequence[Wish]) -> AsyncIterator[AsyncIterator[bytes]]:
        """One file. Raises Gone, NotAcceptable, NoPicture, TooManyPixels, RendersFull or as Source does."""
        syntaxes = {wish.syntax or ANY for wish in wanted}
        if ANY not in syntaxes and (stored := await self._stored(instance)) not in syntaxes:
            if EXPLICIT_LITTLE not in syntaxes or stored not in DECODED:
                raise NotAcceptable(types=_offered(stored))
            async with self._decoder(instance), self._source.decoded(instance) as answer:
                if answer is None:
                    raise NoPicture  # what the plugin does not find, its metadata was refused for before
                yield first_part(answer.aiter_raw())
            return
        async with self._source.file(instance) as answer:
            if answer is None:
                raise Gone
            yield answer.aiter_raw()

    async def alone(self, instance: Instance, wanted: Sequence[Wish]) -> AsyncIterator[bytes]:
        """The body of an answer that is one file."""
        async with self.file(instance, wanted) as pieces:
            async for piece in pieces:
                yield piece

    async def frames_kind(self, instance: Instance, wanted: Sequence[Wish]) -> tuple[str, str]:
        """Media type and transfer syntax in which frames are given. Raises Gone or NotAcceptable."""
        stored = await self._stored(instance)
        if stored in _AS_THEY_ARE or stored == _BIG_ENDIAN:
            stored = EXPLICIT_LITTLE
        for wish in wanted:
            named = wish.kind.startswith(("image/", "video/"))
            syntax = wish.syntax or (ANY if named else EXPLICIT_LITTLE)
            if syntax in (ANY, stored) and (not named or wish.kind == media_type(stored)):
                return media_type(stored), stored
            if syntax == EXPLICIT_LITTLE and not named and stored in DECODED:
                return OCTETS, EXPLICIT_LITTLE
            if wish.kind in ("*/*", "multipart/related") and wish.syntax is None:
                return media_type(stored), stored
        raise NotAcceptable(types=_offered(stored))

    async def frames(
        self, related: Related, instance: Instance, numbers: Iterable[int], kind: str, syntax: str
    ) -> AsyncIterator[bytes]:
        """The body of an answer with these frames of an image."""
        stored = await self._stored(instance)
        raw = stored == syntax or stored in _AS_THEY_ARE
        for number in numbers:
            async with self._frame(instance, number, raw=raw) as pieces:
                yield related.head(f"{kind}; transfer-syntax={syntax}")
                async for piece in pieces:
                    yield piece
        yield related.end()

    async def bulk(self, related: Related, instance: Instance, attribute: str) -> AsyncIterator[bytes]:
        """The body of an answer with the value of one attribute. Raises Gone, or AmbiguousUid where there is none."""
        await self._stored(instance)  # the plugin would give that of another image with the same UIDs
        async with self._source.bulk(instance, attribute) as answer:
            if answer is None:
                raise AmbiguousUid(uid=instance.sop_instance_uid)
            yield related.head(OCTETS)
            async for piece in first_part(answer.aiter_raw()):
                yield piece
        yield related.end()

    @contextlib.asynccontextmanager
    async def _frame(self, instance: Instance, number: int, *, raw: bool) -> AsyncIterator[AsyncIterator[bytes]]:
        if raw:
            async with self._source.frame(instance, number) as answer:
                if answer is None:
                    raise await self._why_not(instance, number)
                yield answer.aiter_raw()
            return
        async with self._decoder(instance), self._source.decoded_frame(instance, number) as answer:
            if answer is None:
                raise await self._why_not(instance, number)
            yield first_part(answer.aiter_raw())

    async def _stored(self, instance: Instance) -> str:
        syntax = await self._source.syntax(instance)
        if syntax is None:
            raise Gone
        return syntax

    @contextlib.asynccontextmanager
    async def _decoder(self, instance: Instance) -> AsyncIterator[None]:
        """A turn at having Orthanc decode."""
        if await self._metadata.pixel_bytes(instance) > self._settings.decoded_bytes:
            raise TooManyPixels(most=self._settings.decoded_bytes)
        async with self._places.taken():
            yield

    async def _why_not(self, instance: Instance, number: int) -> Exception:
        """Orthanc's refusals of a frame do not tell."""
        if await self._metadata.pixel_bytes(instance) and number > await self._metadata.frames(instance):
            return FrameUnknown(frame=number)
        return NoPicture()


def media_type(syntax: str) -> str:
    """Of a frame in this transfer syntax (PS3.18, tables 8.7.3-3 and -4)."""
    return next((kind for kind, syntaxes in _KINDS.items() if syntax in syntaxes), OCTETS)


def _offered(stored: str) -> str:
    return ", ".join([f"transfer-syntax={ANY}", *([f"transfer-syntax={EXPLICIT_LITTLE}"] if stored in DECODED else [])])


_KINDS = {
    "image/jpeg": {_JPEG + number for number in ("50", "51", "57", "70")},
    "image/jls": {_JPEG + number for number in ("80", "81")},
    "image/jp2": {_JPEG + number for number in ("90", "91")},
    "image/jpx": {_JPEG + number for number in ("92", "93")},
    "image/jphc": {_JPEG + number for number in ("201", "202", "203")},
    "image/dicom-rle": {"1.2.840.10008.1.2.5"},
    "video/mpeg": {_JPEG + number for number in ("100", "101")},
    "video/mp4": {_JPEG + number for number in ("102", "103", "104", "105", "106", "107", "108")},
}
