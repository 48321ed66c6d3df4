"""What stands in images beside their bulk data: read from Orthanc once, told as one list.

It names patients: it is kept in memory alone, never on a disk that is not Orthanc's.
"""

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

from services.preview_service.access import Instance
from services.preview_service.cache import EVICTED, HELD
from services.preview_service.dicomweb.identity import PATIENT_ID, SERIES, SOP, STUDY, orthanc_id, text
from services.preview_service.dicomweb.source import Item, Source
from services.preview_service.errors import AmbiguousUid, Gone
from services.preview_service.flights import Flights
from services.preview_service.memory import Memory
from services.preview_service.settings import DicomwebSettings
from services.preview_service.view import Key, Picture

_BULK = b'"BulkDataURI":"'
_ROOT = "/dicom-web/"
_FRAMES = "00280008"


class Metadata:
    """One instance serves all requests."""

    def __init__(self, source: Source, settings: DicomwebSettings) -> None:
        self._source = source
        self._ahead = settings.ahead
        self._most = settings.metadata_most
        self._reading = asyncio.Semaphore(settings.at_once)
        self._memory = Memory(settings.metadata_bytes)
        self._flights: Flights[Key, Picture] = Flights()

    async def aclose(self) -> None:
        """End what is being read."""
        await self._flights.aclose()

    async def of(self, instance: Instance, base: str = "") -> bytes:
        """A data set in DICOM JSON; its bulk data is below `base`. Raises AmbiguousUid, OrthancAway and the like."""
        wanted = key(instance)
        found = self._memory.find(wanted)
        if found is None:
            found, _ = await self._flights.join(wanted, lambda: self._read(instance))
            EVICTED.labels("metadata").inc(self._memory.keep(wanted, found))
            HELD.labels("metadata").set(self._memory.bytes)
        return found.content.replace(_BULK, _BULK + base.encode())

    async def pixel_bytes(self, instance: Instance) -> int:
        """The bytes of all frames once they are decoded; 0 where there are no pixels."""
        return pixel_bytes(json.loads(await self.of(instance)))

    async def frames(self, instance: Instance) -> int:
        """How many frames it tells of."""
        return max(1, _number(json.loads(await self.of(instance)), _FRAMES))

    async def listed(self, instances: Sequence[Instance], base: str) -> AsyncIterator[bytes]:
        """Those of all, as one JSON list; a few are read ahead. One that was deleted is left out, unless all were."""
        left, reading = iter(instances), deque[asyncio.Task[bytes]]()
        try:
            between = b"["
            while True:
                while len(reading) < self._ahead and (instance := next(left, None)) is not None:
                    reading.append(asyncio.create_task(self.of(instance, base)))
                if not reading:
                    break
                with contextlib.suppress(Gone):
                    yield between + await reading.popleft()
                    between = b",\n"
            if between == b"[":
                raise Gone
            yield b"]"
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    async def _read(self, instance: Instance) -> Picture:
        async with self._reading:
            item = await self._source.metadata(instance, self._most)
        if item is None and await self._source.syntax(instance) is None:
            raise Gone
        if item is None or _id_of(item) != instance.orthanc_id:
            raise AmbiguousUid(uid=instance.sop_instance_uid)
        _name_own_addresses(item)
        return Picture(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode(), time.time())


def key(instance: Instance) -> Key:
    """What an instance's metadata is kept under: it tells the UIDs of the very instance, so its id counts too."""
    return Key.of(instance.digest, "metadata", instance.orthanc_id)


def pixel_bytes(item: Item) -> int:
    """The bytes of all frames once they are decoded (PS3.3, C.7.6.3); 0 where there are no pixels."""
    rows, columns, samples, bits = (_number(item, tag) for tag in ("00280010", "00280011", "00280002", "00280100"))
    return rows * columns * max(1, samples) * bits // 8 * max(1, _number(item, _FRAMES))


def _number(item: Item, tag: str) -> int:
    try:
        return int(text(item, tag) or 0)
    except ValueError:
        return 0


def _id_of(item: Item) -> str:
    return orthanc_id(*(text(item, tag) for tag in (PATIENT_ID, STUDY, SERIES, SOP)))


def _name_own_addresses(item: Item) -> None:
    """Orthanc tells of bulk data by its own address, which no client reaches."""
    for attribute in item.values():
        uri = attribute.get("BulkDataURI")
        if uri is not None:
            image, _, place = str(uri).partition(_ROOT)[2].partition("/bulk/")
            attribute["BulkDataURI"] = f"{_ROOT}{image}/bulk/{place.replace('/', '.')}"
        values: list[Any] = attribute.get("Value") or []
        for value in values if attribute.get("vr") == "SQ" else ():
            _name_own_addresses(value)
