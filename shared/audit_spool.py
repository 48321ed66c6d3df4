"""Audit records on this machine's disk while the broker is away: each is on the disk when `add` returns (SQLite)."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.errors import AuditAway


class Spool:
    """A bounded file of messages that are still to be published; several processes may share it. Calls block."""

    def __init__(self, path: Path, largest_bytes: int) -> None:
        self._path = path
        self._largest = largest_bytes
        self._lock = threading.Lock()
        self._file: sqlite3.Connection | None = None

    def add(self, body: bytes) -> None:
        """Keep one message. Raises AuditAway where there is no room, or the disk fails."""
        with self._lock, _disk():
            file = self._opened()
            with file:
                file.execute("BEGIN IMMEDIATE")
                (held,) = file.execute("SELECT coalesce(sum(length(body)), 0) FROM messages").fetchone()
                if held + len(body) > self._largest:
                    raise AuditAway
                file.execute("INSERT INTO messages (body) VALUES (?)", (body,))

    def oldest(self, count: int) -> Sequence[tuple[int, bytes]]:
        """The first messages, with their numbers."""
        with self._lock, _disk():
            if self._never_used():
                return ()
            return self._opened().execute("SELECT id, body FROM messages ORDER BY id LIMIT ?", (count,)).fetchall()

    def remove(self, number: int) -> None:
        """Forget a message that was published."""
        with self._lock, _disk(), self._opened() as file:
            file.execute("DELETE FROM messages WHERE id = ?", (number,))

    def held(self) -> tuple[int, int]:
        """How many messages, and their bytes."""
        with self._lock, _disk():
            if self._never_used():
                return 0, 0
            query = "SELECT count(*), coalesce(sum(length(body)), 0) FROM messages"
            count, size = self._opened().execute(query).fetchone()
            return int(count), int(size)

    def close(self) -> None:
        """Close the file; what is in it stays."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _never_used(self) -> bool:
        """Whether no process ever kept a message: who only looks leaves no file behind."""
        return self._file is None and not self._path.exists()

    def _opened(self) -> sqlite3.Connection:
        if self._file is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = sqlite3.connect(self._path, timeout=5, check_same_thread=False, isolation_level=None)
            # Every commit is on the disk before it returns; a reader never waits for a writer.
            file.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
            file.execute(
                "CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL)"
            )
            self._path.chmod(0o600)
            self._file = file
        return self._file


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise AuditAway from error
