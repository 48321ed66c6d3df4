"""DICOM files for the lab, made by replacing bytes of one file: two thousand of them in a second."""

import functools
import hashlib
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmread
from pydicom.uid import UID

from tests import dicom_files

ACCESSION_LENGTH = 16  # the most that DICOM allows
_UID, _ACCESSION = b"1.2.826.0.1.3680043.2222222222.333333333", b"ACCESSION-NUMBER"
_PARENTS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
PATIENT_ID, PATIENT_NAME = "1CT1", "CompressedSamples^CT1"
OTHER_PATIENT_ID, OTHER_PATIENT_NAME = "2CT2", "CompressedSamples^CT2"


@dataclass(frozen=True)
class Image:
    """A file that a client sends, and what it asks for."""

    sop_uid: str
    exam: str | None = None
    accession: str = ""
    large: bool = False
    description: str = ""
    bytes_kept: bool = True  # not by C-STORE, which rewrites the file meta information
    patient_id: str = PATIENT_ID  # another one: another instance to Orthanc, under the same SOP Instance UID
    patient_name: str = PATIENT_NAME  # another one: another data set under the same name

    @property
    def content(self) -> bytes:
        """Made anew each time: two thousand of them in memory would be 80 MB."""
        template = _template(accession=bool(self.accession), large=self.large)
        named = template.replace(_element("LO", PATIENT_ID), _element("LO", self.patient_id))
        named = named.replace(PATIENT_NAME.encode(), self.patient_name.encode())
        return named.replace(_UID, self.sop_uid.encode()).replace(_ACCESSION, self.accession.encode() or _ACCESSION)

    @functools.cached_property
    def digest(self) -> str:
        """MD5 in hex, as Orthanc keeps it."""
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()

    @functools.cached_property
    def orthanc_id(self) -> str:
        """The name that Orthanc will give it."""
        hexed = hashlib.sha1(
            "|".join((self.patient_id, *_parents()[1:], self.sop_uid)).encode(), usedforsecurity=False
        ).hexdigest()
        return "-".join(hexed[i : i + 8] for i in range(0, 40, 8))

    @property
    def study_uid(self) -> str:
        return _parents()[1]

    @property
    def series_uid(self) -> str:
        return _parents()[2]


def fresh(number: int, exam: str | None = None, accession: str = "", *, large: bool = False) -> list[Image]:
    """Images that nobody has seen yet; `large` ones (2 MiB) flow through the upload service instead of being held."""
    assert len(accession) in (0, ACCESSION_LENGTH)
    uids = (dicom_files.fresh_uid(len(_UID)) for _ in range(number))
    return [Image(uid, exam, accession, large, f"image {i} of the lab") for i, uid in enumerate(uids)]


@functools.cache
def _template(*, accession: bool, large: bool) -> bytes:
    dataset = dcmread(BytesIO(dicom_files.content("CT_small.dcm")))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(_UID.decode())
    dataset.AccessionNumber = _ACCESSION.decode() if accession else ""
    if large:
        dataset.Rows = dataset.Columns = 1024
        dataset.PixelData = bytes(2 * 1024 * 1024)
    written = BytesIO()
    dataset.save_as(written)
    return written.getvalue()


@functools.cache
def _parents() -> tuple[str, ...]:
    dataset = dcmread(dicom_files.FOLDER / "CT_small.dcm", stop_before_pixels=True)
    return tuple(str(dataset[name].value) for name in _PARENTS)


def _element(kind: str, value: str) -> bytes:
    """A value with its length before it, so that nothing else in the file is meant."""
    return kind.encode() + len(value).to_bytes(2, "little") + value.encode()
