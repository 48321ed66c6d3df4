"""Images of real pixels: the CT slice that pydicom ships (128 x 128, with all its noise), beside and below itself."""

import functools
import io
from collections.abc import Iterator
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from tests import dicom_files

EDGE = 512  # pixels
FRAME = 2 * EDGE * EDGE  # bytes
_SOURCE, _SOURCE_EDGE = "CT_small.dcm", 128


@functools.cache
def pixels(edge: int) -> bytes:
    """So many pixels wide and high (a multiple of 128), of 16 bits."""
    source, line, times = dcmread(dicom_files.FOLDER / _SOURCE).PixelData, 2 * _SOURCE_EDGE, edge // _SOURCE_EDGE
    lines = (source[at : at + line] * times for at in range(0, line * _SOURCE_EDGE, line))
    return b"".join(lines) * times


def ct(edge: int = EDGE, series: str | None = None) -> bytes:
    """A file of its own, so many pixels wide and high, in this series or one of its own."""
    dataset = _dataset(edge, series)
    dataset.PixelData = pixels(edge)
    return _written(dataset)


def write_large(path: Path, frames: int) -> None:
    """A file of so many frames of half a megabyte, written piece by piece."""
    dataset = _dataset(EDGE, None)
    dataset.NumberOfFrames = frames
    dataset.PixelData = b"\0\0"
    head = _written(dataset)[:-6]  # the pixels come last, and their length stands before them
    with path.open("wb") as file:
        file.write(head + (frames * FRAME).to_bytes(4, "little"))
        for _ in range(frames):
            file.write(pixels(EDGE))


def pieces(path: Path) -> Iterator[bytes]:
    """A file, a megabyte at a time."""
    with path.open("rb") as file:
        yield from iter(lambda: file.read(1024 * 1024), b"")


def _dataset(edge: int, series: str | None) -> Dataset:
    dataset = dcmread(dicom_files.FOLDER / _SOURCE)
    dataset.Rows = dataset.Columns = edge
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = series or generate_uid()
    del dataset[0xFFFCFFFC]  # padding behind the pixels
    return dataset


def _written(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()
