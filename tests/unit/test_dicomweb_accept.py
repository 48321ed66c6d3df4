"""What clients of DICOMweb accept, as they write it."""

import pytest

from services.preview_service.dicomweb.accept import EXPLICIT_LITTLE, Wish, frame_wishes, wishes
from services.preview_service.errors import NotAcceptable

DICOM = "application/dicom"
J2K = "1.2.840.10008.1.2.4.90"


@pytest.mark.parametrize(
    ("accept", "multipart", "syntax"),
    [
        ('multipart/related; type="application/dicom"', True, None),
        ("multipart/related; type=application/dicom; transfer-syntax=*", True, "*"),
        (f'multipart/related;type="application/dicom";transfer-syntax={J2K}', True, J2K),
        (f'multipart/related; type="application/dicom; transfer-syntax={J2K}"', True, J2K),
        ('MULTIPART/RELATED; TYPE="application/dicom"', True, None),
        ("*/*", True, None),
        ("multipart/related", True, None),
        ("", True, None),
        (f'text/html, multipart/related; type="{DICOM}"; q=0.5', True, None),
    ],
)
def test_files_as_parts(accept: str, *, multipart: bool, syntax: str | None) -> None:
    assert wishes(accept, DICOM)[0] == Wish(DICOM, multipart, syntax)


def test_one_file_alone_where_it_is_offered() -> None:
    assert wishes(DICOM, DICOM, single=True) == [Wish(DICOM, multipart=False, syntax=None)]
    with pytest.raises(NotAcceptable):
        wishes(DICOM, DICOM)


def test_the_best_comes_first() -> None:
    kind = f'multipart/related; type="{DICOM}"'
    accept = f"{kind}; transfer-syntax={J2K}; q=0.5, {kind}; transfer-syntax=*"
    assert [wish.syntax for wish in wishes(accept, DICOM)] == ["*", J2K]


@pytest.mark.parametrize(
    "accept", ["text/html", "image/jpeg", f"{DICOM};q=0", 'multipart/related; type="image/jpeg"', "*/*;q=x"]
)
def test_what_nothing_fits_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        wishes(accept, DICOM, single=True)


def test_frames_in_several_types() -> None:
    accept = (
        'multipart/related; type="image/jp2"; q=0.9, '
        f'multipart/related; type="application/octet-stream"; transfer-syntax={EXPLICIT_LITTLE}, image/jpeg'
    )
    assert frame_wishes(accept) == [
        Wish("application/octet-stream", multipart=True, syntax=EXPLICIT_LITTLE),
        Wish("image/jp2", multipart=True, syntax=None),
    ]
    with pytest.raises(NotAcceptable):
        frame_wishes("application/octet-stream")
