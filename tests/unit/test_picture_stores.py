"""What is kept of pictures in memory and on disk, and what gives way."""

import os
import time
from pathlib import Path

import pytest

from services.preview_service.disk import Disk
from services.preview_service.memory import Memory
from services.preview_service.view import Key, Picture

NOW = time.time()


def key(name: str, digest: str = "digest") -> Key:
    return Key.of(digest, name)


def picture(size: int = 10, made: float = NOW, fill: bytes = b"p") -> Picture:
    return Picture(fill * size, made)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return opened(tmp_path)


def opened(folder: Path, largest: int = 100, most: int = 50, oldest: float = 3600.0) -> Disk:
    made = Disk(folder / "pictures", largest, most, oldest)
    made.open()
    return made


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_memory_forgets_the_least_used() -> None:
    memory = Memory(30)
    for name in "abc":
        assert memory.keep(key(name), picture()) == 0
    assert memory.find(key("a"))
    assert memory.keep(key("d"), picture()) == 1
    assert [name for name in "abcd" if memory.find(key(name))] == ["a", "c", "d"]
    assert memory.keep(key("e"), picture(25)) == 3
    assert memory.bytes == 25


def test_memory_keeps_nothing_larger_than_itself() -> None:
    memory = Memory(30)
    memory.keep(key("a"), picture(30))
    assert memory.keep(key("b"), picture(31)) == 0
    assert memory.find(key("a"))
    memory.keep(key("a"), picture(20))
    assert memory.bytes == 20


def test_memory_purges_a_file_and_no_other() -> None:
    memory = Memory(100)
    for digest in ("one", "other"):
        for name in "ab":
            memory.keep(key(name, digest), picture())
    memory.purge("one")
    assert [bool(memory.find(key("a", digest))) for digest in ("one", "other")] == [False, True]
    assert memory.bytes == 20


def test_disk_keeps_over_a_restart(disk: Disk, tmp_path: Path) -> None:
    disk.keep(key("a"), picture(made=NOW - 100))
    assert disk.find(key("a")) == picture(made=NOW - 100)
    again = opened(tmp_path)
    assert again.knows(key("a"))
    assert again.find(key("a")) == picture(made=NOW - 100)
    assert again.bytes == 10


def test_disk_gives_up_the_least_used_and_after_a_start_the_oldest(disk: Disk, tmp_path: Path) -> None:
    for age, name in enumerate("abcdefghij"):
        disk.keep(key(name), picture(made=NOW - age))
    assert disk.find(key("a"))
    disk.keep(key("k"), picture(20))
    assert [name for name in "abcdefghijk" if disk.find(key(name))] == list("adefghijk")
    assert (disk.bytes, disk.evicted, len(files(tmp_path))) == (100, 2, 9)
    again = opened(tmp_path, largest=50)
    assert [name for name in "abcdefghijk" if again.knows(key(name))] == list("adek")


def test_disk_keeps_so_many_and_not_for_ever(tmp_path: Path) -> None:
    disk = opened(tmp_path, most=2, oldest=50)
    disk.keep(key("a"), picture(made=NOW - 100))
    assert disk.find(key("a")) is None
    disk.keep(key("b"), picture(made=NOW - 100))
    disk.sweep()
    assert not disk.knows(key("b"))
    for name in "cde":
        disk.keep(key(name), picture())
    assert [name for name in "cde" if disk.knows(key(name))] == ["d", "e"]
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("left", [b"", b"\0" * 10, b"p" * 9])
def test_disk_does_not_believe_what_a_power_cut_left(disk: Disk, tmp_path: Path, left: bytes) -> None:
    disk.keep(key("a"), picture())
    [path] = files(tmp_path)
    path.write_bytes(left)
    again = opened(tmp_path)
    assert again.find(key("a")) is None
    assert (files(tmp_path), again.bytes) == ([], 0)


def test_disk_takes_away_what_was_half_written(disk: Disk, tmp_path: Path) -> None:
    disk.keep(key("a"), picture())
    [path] = files(tmp_path)
    (path.parent / "x.part").write_bytes(b"half")
    opened(tmp_path)
    assert files(tmp_path) == [path]


def test_disk_leaves_what_is_being_written_while_it_opens(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "pictures", 100, 50, 3600.0)
    disk.keep(key("a"), picture())
    [path] = files(tmp_path)
    writing = path.parent / "x.part"
    writing.write_bytes(b"half")
    os.utime(writing, (time.time() + 1, time.time() + 1))
    disk.open()
    assert set(files(tmp_path)) == {path, writing}
    assert disk.bytes == 10


def test_disk_purges_what_it_has_not_seen_yet(disk: Disk, tmp_path: Path) -> None:
    disk.keep(key("a"), picture())
    Disk(tmp_path / "pictures", 100, 50, 3600.0).purge("digest")
    assert files(tmp_path) == []
    assert list((tmp_path / "pictures").glob("*/*")) == []


def test_disk_purges_a_file_and_no_other(disk: Disk, tmp_path: Path) -> None:
    for digest in ("../../one", "other"):
        for name in "ab":
            disk.keep(key(name, digest), picture())
    disk.purge("../../one")
    disk.purge("unknown")
    assert [disk.find(key("a", digest)) is None for digest in ("../../one", "other")] == [True, False]
    assert (disk.bytes, len(files(tmp_path))) == (20, 2)
    assert len(list((tmp_path / "pictures").glob("*/*"))) == 1


def test_disk_replaces_a_picture(disk: Disk, tmp_path: Path) -> None:
    disk.keep(key("a"), picture())
    disk.keep(key("a"), picture(20, fill=b"q"))
    found = disk.find(key("a"))
    assert found
    assert found.content == b"q" * 20
    assert (disk.bytes, len(files(tmp_path))) == (20, 1)
    assert opened(tmp_path).bytes == 20


def test_a_file_that_somebody_took_away_is_made_anew(disk: Disk, tmp_path: Path) -> None:
    disk.keep(key("a"), picture())
    [path] = files(tmp_path)
    path.unlink()
    assert disk.find(key("a")) is None
    disk.keep(key("a"), picture())
    assert disk.find(key("a"))
    assert disk.bytes == 10


def test_disk_names_a_file_once_it_was_looked_at(disk: Disk, tmp_path: Path) -> None:
    assert disk.place(key("a")) is None
    disk.keep(key("a"), picture())
    place = disk.place(key("a"))
    assert place
    assert (tmp_path / "pictures" / place).read_bytes() == picture().content
    again = opened(tmp_path)
    assert again.place(key("a")) is None
    assert again.find(key("a"))
    assert again.place(key("a")) == place


def test_disk_names_no_file_that_is_too_old_or_given_up(tmp_path: Path) -> None:
    disk = opened(tmp_path, most=1)
    disk.keep(key("a"), picture(made=NOW - 4000))
    assert disk.place(key("a")) is None
    disk.keep(key("b"), picture())
    assert [disk.place(key(name)) is None for name in "ab"] == [True, False]


def test_disk_keeps_what_was_named_longer(disk: Disk) -> None:
    for name in "abcdefghij":
        disk.keep(key(name), picture())
    assert disk.place(key("a"))
    disk.keep(key("k"), picture())
    assert [disk.knows(key(name)) for name in "abk"] == [True, False, True]


def test_disk_makes_nobody_wait_for_a_name(disk: Disk) -> None:
    disk.keep(key("a"), picture())
    with disk._lock:
        assert disk.place(key("a")) is None


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_disk_lets_in_whom_it_is_told_to(tmp_path: Path, mode: int) -> None:
    disk = Disk(tmp_path / "pictures", 100, 50, 3600.0, mode)
    disk.keep(key("a"), picture())
    folders = [path for path in (tmp_path / "pictures").rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in folders} == {mode}
