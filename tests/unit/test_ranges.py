"""Which part of a file a request asks for."""

from collections.abc import AsyncIterator

import pytest

from services.preview_service.errors import RangeUnsatisfiable
from services.preview_service.ranges import Part, cut, part_of

ETAG, SIZE = '"d"', 1000


def asked(value: str, size: int = SIZE, if_range: str = ETAG) -> tuple[int, int] | None:
    part = part_of({"range": value, "if-range": if_range}, ETAG, size)
    return (part.first, part.end) if part else None


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-99", (0, 100)),
        ("bytes=900-", (900, 1000)),
        ("bytes=900-5000", (900, 1000)),
        ("bytes=999-999", (999, 1000)),
        ("bytes=-1", (999, 1000)),
        ("bytes=-5000", (0, 1000)),
        ("bytes= 10-19", (10, 20)),
    ],
)
def test_one_range(value: str, part: tuple[int, int]) -> None:
    assert asked(value) == part


@pytest.mark.parametrize(
    "value", ["", "bytes=", "bytes=-", "bytes=a-b", "items=0-1", "bytes=0-1,5-6", "bytes=20-10", "0-1", "bytes=0-1-2"]
)
def test_what_cannot_be_read_or_is_several_means_the_whole(value: str) -> None:
    assert asked(value) is None


@pytest.mark.parametrize("value", ["bytes=1000-", "bytes=1000-2000", "bytes=5000-6000", "bytes=-0"])
def test_behind_the_end(value: str) -> None:
    with pytest.raises(RangeUnsatisfiable, match="1000"):
        asked(value)


def test_of_an_empty_file_there_is_no_part() -> None:
    with pytest.raises(RangeUnsatisfiable):
        asked("bytes=-5", size=0)


def test_a_part_of_another_file_is_the_whole_of_this_one() -> None:
    assert asked("bytes=0-1", if_range='"other"') is None
    assert part_of({"range": "bytes=0-1"}, ETAG, SIZE) == Part(0, 2, SIZE)


@pytest.mark.parametrize("chunk", [1, 3, 7, 100, 5000])
@pytest.mark.parametrize(("first", "end"), [(0, 1), (0, 1000), (10, 20), (999, 1000), (100, 200), (99, 101)])
async def test_cut_out_of_what_flows_by(chunk: int, first: int, end: int) -> None:
    whole = bytes(number % 251 for number in range(SIZE))
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for begin in range(0, SIZE, chunk):
            read = min(begin + chunk, SIZE)
            yield whole[begin : begin + chunk]

    got = [piece async for piece in cut(pieces(), Part(first, end, SIZE))]
    assert b"".join(got) == whole[first:end]
    assert all(got), "an empty piece would end a chunked answer"
    assert read < end + chunk, "no more was read than was needed"
