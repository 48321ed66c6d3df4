"""Pictures on disk, over restarts: a folder for each file's digest, in it a file for each picture.

The least used go first; after a start, the oldest. A picture is written whole under another name and then renamed. Its
checksum stands in its name, since a power cut can leave a file without its content: it is looked at before the file is
first believed. Calls block.
"""

import contextlib
import hashlib
import os
import threading
import time
import uuid
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from services.preview_service.view import Key, Picture

_UNFINISHED = ".part"


@dataclass
class _File:
    path: Path
    size: int
    made: float
    checked: bool


class Disk:
    """At most so many bytes, pictures and seconds. Its files are this process's own; replicas have a folder each.

    `mode` is that of the folders: who may read.
    """

    def __init__(self, folder: Path, largest_bytes: int, most: int, oldest_seconds: float, mode: int = 0o700) -> None:
        self._folder = folder
        self._mode = mode
        self._largest = largest_bytes
        self._most = most
        self._oldest = oldest_seconds
        self._files: OrderedDict[str, _File] = OrderedDict()  # by the name of the key
        self._lock = threading.Lock()
        self._began = time.time()
        self.bytes = 0
        self.evicted = 0

    def open(self) -> None:
        """See what is there, and take away what was left half written. Pictures may come and go meanwhile."""
        self._folder.mkdir(mode=self._mode, parents=True, exist_ok=True)
        found: list[tuple[str, _File]] = []
        for path in self._folder.glob("*/*/*"):
            with contextlib.suppress(FileNotFoundError):
                told = path.stat()
                if path.suffix != _UNFINISHED:
                    found.append((path.stem, _File(path, told.st_size, told.st_mtime, checked=False)))
                elif told.st_mtime < self._began:  # not one that is being written now
                    path.unlink()
        with self._lock:
            for name, file in sorted(found, key=lambda one: one[1].made):
                if name not in self._files:
                    self._note(name, file)
            self._make_room()

    def knows(self, key: Key) -> bool:
        """Whether it may be here; asks no disk."""
        return key.name in self._files

    def find(self, key: Key) -> Picture | None:
        """The picture, if it is here whole and not too old."""
        with self._lock:
            file = self._files.get(key.name)
            if file is None:
                return None
            self._files.move_to_end(key.name)
        with contextlib.suppress(FileNotFoundError):
            content = file.path.read_bytes()
            if time.time() - file.made <= self._oldest and (file.checked or _checksum(content) == file.path.suffix):
                file.checked = True
                return Picture(content, file.made)
        with self._lock:
            self._forget(key.name)
        return None

    def place(self, key: Key) -> Path | None:
        """Where below the folder the picture lies, if its content was looked at; to be told so is to use it.

        None also while another is being written: it would have to be waited for.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            file = self._files.get(key.name)
            if file is None or not file.checked or time.time() - file.made > self._oldest:
                return None
            self._files.move_to_end(key.name)
            return file.path.relative_to(self._folder)
        finally:
            self._lock.release()

    def keep(self, key: Key, picture: Picture) -> None:
        """Write a picture. Raises OSError where the disk does."""
        folder = self._folder_of(key.digest)
        path = folder / f"{key.name}{_checksum(picture.content)}"
        unfinished = folder / f"{uuid.uuid4()}{_UNFINISHED}"
        with self._lock:  # the folder may not be taken away before there is something in it
            for each in (self._folder, folder.parent, folder):
                each.mkdir(mode=self._mode, parents=True, exist_ok=True)
            try:
                unfinished.write_bytes(picture.content)
                os.utime(unfinished, (picture.made, picture.made))
                unfinished.rename(path)
            finally:
                unfinished.unlink(missing_ok=True)
            self._note(key.name, _File(path, len(picture.content), picture.made, checked=True))
            self._make_room()

    def purge(self, digest: str) -> None:
        """Take away every picture of a file, also those that were not seen yet. Raises OSError where the disk does."""
        folder = self._folder_of(digest)
        with self._lock, contextlib.suppress(FileNotFoundError):
            for path in list(folder.iterdir()):
                self._forget(path.stem)
                path.unlink(missing_ok=True)
            folder.rmdir()

    def sweep(self) -> None:
        """Take away what is too old."""
        with self._lock:
            for name in [name for name, file in self._files.items() if time.time() - file.made > self._oldest]:
                self._forget(name)

    def _note(self, name: str, file: _File) -> None:
        before = self._files.pop(name, None)
        if before is not None:
            self.bytes -= before.size
            if before.path != file.path:
                before.path.unlink(missing_ok=True)
        self._files[name] = file
        self.bytes += file.size

    def _make_room(self) -> None:
        while self.bytes > self._largest or len(self._files) > self._most:
            self._forget(next(iter(self._files)))
            self.evicted += 1

    def _forget(self, name: str) -> None:
        file = self._files.pop(name, None)
        if file is not None:
            self.bytes -= file.size
            file.path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # there are others in it
                file.path.parent.rmdir()

    def _folder_of(self, digest: str) -> Path:
        """Of whatever text the digest is."""
        name = hashlib.sha256(digest.encode()).hexdigest()[:32]
        return self._folder / name[:2] / name


def _checksum(content: bytes) -> str:
    return f".{zlib.crc32(content):08x}"
