"""Real files, damaged: bits flipped, lengths changed, spans cut out, doubled or put elsewhere, ends missing."""

import random
from collections.abc import Callable

from hypothesis import strategies as st

from tests import dicom_files
from tests.unit.dicom_bytes import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, element, nested

LONGEST = 40_000  # of the files that are damaged
BASES = tuple(name for name in dicom_files.names() if len(dicom_files.content(name)) < LONGEST)
LENGTHS = (0, 1, 2, 7, 8, 0x7F, 0xFF, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, UNDEFINED)
PIECES = (
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    element(0x00081115, b"SQ", length=UNDEFINED),
    element(0x00291010, b"UN", length=UNDEFINED),
    element(0x00291010, b"UN", ITEM + ITEM_END),
    element(0x7FE00010, b"OB", length=UNDEFINED),
    element(0x0020000D, b"UI", b"1.2.3"),
    nested(3),
    nested(40),
    b"DICM",
    b"PK\x03\x04",
)
Recipe = tuple[str, int, int]  # a file's name, the seed of its damages, how many
Damage = Callable[[bytearray, random.Random], None]


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        data[_somewhere(data, chance)] ^= 1 << chance.randrange(8)


def _length(data: bytearray, chance: random.Random) -> None:
    at, size = _somewhere(data, chance), chance.choice((2, 4))
    data[at : at + size] = (chance.choice(LENGTHS) & (1 << 8 * size) - 1).to_bytes(
        size, chance.choice(("little", "big"))
    )


def _cut(data: bytearray, chance: random.Random) -> None:
    at = _somewhere(data, chance)
    del data[at : at + chance.choice((1, 2, 8, 100, 5000, LONGEST))]


def _doubled(data: bytearray, chance: random.Random) -> None:
    at, to = _somewhere(data, chance), _somewhere(data, chance)
    data[to:to] = data[at : at + chance.choice((2, 8, 64, 1000))] * chance.choice((1, 1, 40))


def _put_in(data: bytearray, chance: random.Random) -> None:
    at = _somewhere(data, chance)
    data[at:at] = chance.choice(PIECES) * chance.choice((1, 1, 2, 40))


def _other(data: bytearray, chance: random.Random) -> None:
    """The beginning of this file and the end of another."""
    other = dicom_files.content(chance.choice(BASES))
    at = _somewhere(data, chance)
    data[at:] = other[_somewhere(other, chance) :]


DAMAGES: tuple[Damage, ...] = (_flip, _flip, _length, _length, _cut, _doubled, _put_in, _other)


def _somewhere(data: bytes | bytearray, chance: random.Random) -> int:
    """Mostly behind the preamble, and in the header more often than in the pixels."""
    if len(data) < 200:
        return chance.randrange(max(1, len(data)))
    return min(chance.choice((0, 128, 132, 132, 132)) + int(len(data) ** chance.random()), len(data) - 1)


def damaged(name: str, seed: int, times: int) -> bytes:
    """One of the real files, damaged so many times; the same for the same seed."""
    data, chance = bytearray(dicom_files.content(name)), random.Random(seed)
    for _ in range(times):
        if data:
            chance.choice(DAMAGES)(data, chance)
    return bytes(data)


# What `damaged` makes a file of.
recipes = st.tuples(st.sampled_from(BASES), st.integers(0, 2**32), st.integers(1, 4))
