"""Which representation a request gets (RFC 9110, 12.5.1)."""

import pytest

from services.preview_service.errors import NotAcceptable
from services.preview_service.negotiation import DICOM, JPEG, PNG, best, wants_picture

PICTURES = (JPEG, PNG)
FILE = (DICOM, "application/octet-stream")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", JPEG),
        ("", JPEG),
        (" , ", JPEG),
        ("image/*", JPEG),
        ("image/jpeg", JPEG),
        ("image/png", PNG),
        ("IMAGE/PNG", PNG),
        ("image/png, image/jpeg", JPEG),
        ("image/png;q=0.9, image/jpeg;q=0.8", PNG),
        ("image/png, */*;q=0.1", PNG),
        ("image/png;q=0.5, */*;q=0.1", PNG),
        ("image/*;q=0.5, image/png", PNG),
        ("image/*, image/jpeg;q=0.5", PNG),
        ("image/jpeg;q=0, */*", PNG),
        ("image/jpeg;q=0, image/*;q=0.001", PNG),
        ("text/html, application/xhtml+xml, image/avif, image/webp, */*;q=0.8", JPEG),
        ("image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", PNG),
        ("image/png ; q=0.5 , image/jpeg; q=0.4", PNG),
        ("image/png;charset=x;q=0.5, image/jpeg;q=0.4", PNG),
        ("image/jpeg;q=5", JPEG),
    ],
)
def test_a_picture(accept: str, chosen: str) -> None:
    assert best(accept, PICTURES) == chosen


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "image/webp",
        "image/png;q=0",
        "*/*;q=0",
        "image/*;q=0, text/plain",
        "image/jpeg;q=0, image/png;q=0, */*",
        "application/dicom",
        "image/jpeg;q=abc",
        "image/jpeg;q=",
        "jpeg",
        "image/jpeg2000",
    ],
)
def test_nothing_that_is_accepted(accept: str) -> None:
    with pytest.raises(NotAcceptable, match=r"accept one of image/jpeg, image/png\.") as refused:
        best(accept, PICTURES)
    assert refused.value.status == 406


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", DICOM),
        ("application/dicom", DICOM),
        ("application/*", DICOM),
        ("application/octet-stream", "application/octet-stream"),
        ("application/octet-stream, */*;q=0.1", "application/octet-stream"),
        ("application/dicom; transfer-syntax=1.2.840.10008.1.2.1", DICOM),
    ],
)
def test_a_file(accept: str, chosen: str) -> None:
    assert best(accept, FILE) == chosen


@pytest.mark.parametrize(
    ("accept", "picture"),
    [
        ("*/*", False),
        ("", False),
        ("application/dicom", False),
        ("image/jpeg", True),
        ("image/png", True),
        ("image/*", True),
        ("image/avif,image/webp,image/*;q=0.8,*/*;q=0.5", True),
        ("image/jpeg, application/dicom", False),
        ("image/jpeg, application/dicom;q=0", True),
        ("image/jpeg;q=0, */*", False),
        ("text/html, */*;q=0.8", False),
        ("image/webp", False),
    ],
)
def test_whether_a_picture_is_asked_for_instead_of_the_file(accept: str, *, picture: bool) -> None:
    assert wants_picture(accept) is picture
