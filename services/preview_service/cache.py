"""Pictures that were made before: in memory, else on disk. What the disk cannot keep is shown nevertheless."""

import asyncio

import structlog
from prometheus_client import Counter, Gauge

from services.preview_service.disk import Disk
from services.preview_service.memory import Memory
from services.preview_service.settings import CacheSettings
from services.preview_service.view import Key, Picture

log = structlog.get_logger()

HITS = Counter("examflow_preview_hits", "Pictures that were made before, by where they were found", ["where"])
MISSES = Counter("examflow_preview_misses", "Pictures that had to be made")
EVICTED = Counter("examflow_preview_evicted", "Pictures given up for others", ["where"])
HELD = Gauge("examflow_preview_cache_bytes", "Bytes of pictures that are kept", ["where"])
UNKEPT = Counter("examflow_preview_unkept", "Pictures that could not be written to the disk")


class Cache:
    """One instance serves all requests; another process has a folder of its own."""

    def __init__(self, settings: CacheSettings) -> None:
        self._memory = Memory(settings.memory_bytes)
        mode = 0o755 if settings.read_by_others else 0o700
        self._disk = Disk(settings.folder, settings.disk_bytes, settings.disk_pictures, 86400 * settings.days, mode)

    async def open(self) -> None:
        """Find what is on disk; until then there is nothing."""
        try:
            await asyncio.to_thread(self._disk.open)
        except OSError as error:
            UNKEPT.inc()
            log.error("cache.unreadable", why=str(error))
        self._count()

    def in_memory(self, key: Key) -> Picture | None:
        """The picture, if it is in memory."""
        found = self._memory.find(key)
        if found is not None:
            HITS.labels("memory").inc()
        return found

    async def on_disk(self, key: Key) -> Picture | None:
        """The picture, if it is on disk; then it is in memory too."""
        try:
            found = await asyncio.to_thread(self._disk.find, key) if self._disk.knows(key) else None
        except OSError as error:
            log.error("cache.unreadable", why=str(error))
            found = None
        if found is None:
            MISSES.inc()
            return None
        HITS.labels("disk").inc()
        self._remember(key, found)
        return found

    def place_on_disk(self, key: Key) -> str | None:
        """The file with the picture, below the folder, if it is known to be whole. Asks no disk and waits for none."""
        path = self._disk.place(key)
        return None if path is None else path.as_posix()

    async def keep(self, key: Key, picture: Picture) -> None:
        """Keep a picture that was made."""
        self._remember(key, picture)
        evicted = self._disk.evicted
        try:
            await asyncio.to_thread(self._disk.keep, key, picture)
        except OSError as error:
            UNKEPT.inc()
            log.error("cache.unwritable", why=str(error))
        EVICTED.labels("disk").inc(self._disk.evicted - evicted)
        self._count()

    async def purge(self, digest: str) -> None:
        """Forget all pictures of a file: it was deleted. What the disk keeps nevertheless is shown to nobody."""
        self._memory.purge(digest)
        try:
            await asyncio.to_thread(self._disk.purge, digest)
        except OSError as error:
            log.error("cache.unpurged", why=str(error))
        self._count()

    async def sweep(self) -> None:
        """Forget what is too old."""
        await asyncio.to_thread(self._disk.sweep)
        self._count()

    def _remember(self, key: Key, picture: Picture) -> None:
        EVICTED.labels("memory").inc(self._memory.keep(key, picture))
        self._count()

    def _count(self) -> None:
        HELD.labels("memory").set(self._memory.bytes)
        HELD.labels("disk").set(self._disk.bytes)
