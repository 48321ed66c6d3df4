"""One study of real images: files that pydicom ships, given one patient, one study and fresh UIDs."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

# File, and what it stands for. Each is a series of its own.
FILES = (
    ("CT_small.dcm", "CT"),
    ("MR_small.dcm", "MR"),
    ("examples_rgb_color.dcm", "colour"),
    ("examples_palette.dcm", "palette colour"),
    ("examples_ybr_color.dcm", "multi-frame, JPEG"),
    ("MR_small_jp2klossless.dcm", "JPEG 2000"),
    ("MR_small_RLE.dcm", "RLE"),
    ("SC_rgb_rle_2frame.dcm", "multi-frame, RLE"),
)


@dataclass(frozen=True)
class SampleFile:
    """A file of the study, ready to be sent."""

    name: str
    kind: str
    content: bytes


def sample_study() -> Iterator[SampleFile]:
    """The files, each with identifiers that no other call gives."""
    study = generate_uid()
    for number, (name, kind) in enumerate(FILES, start=1):
        data = dcmread(str(get_testdata_file(name, download=False)))
        data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID = study, generate_uid(), generate_uid()
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.PatientID, data.PatientName, data.PatientBirthDate = "EXAMFLOW-SAMPLE", "Sample^Study", ""
        data.SeriesNumber, data.InstanceNumber = number, 1
        file = BytesIO()
        data.save_as(file, enforce_file_format=True)
        yield SampleFile(name, kind, file.getvalue())
