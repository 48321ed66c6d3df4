"""Bodies made to hurt the reader of forms, each with the refusal that it must end in."""

from tests.dicom_files import fresh
from tests.hostile.files import Hostile
from tests.unit.multipart import BOUNDARY, file_part, form, part

MIB = 1024 * 1024
BROKEN, UNEXPECTED, MISSING = (400, "form-broken"), (400, "field-unexpected"), (400, "file-missing")
INVALID = (400, "invalid-input")


def forms() -> dict[str, Hostile]:
    """Whole bodies, for the content type of tests/unit/multipart.py."""
    file = file_part(fresh("CT_small.dcm"))
    found = _parts(file) | _ends(file) | _names(file)
    return {name: Hostile(content, *refusal) for name, (content, refusal) in found.items()}


Found = dict[str, tuple[bytes, tuple[int, str]]]


def _parts(file: bytes) -> Found:
    return {
        "a part header of 1 MB": (form(part("file", b"x", f"X-Long: {'x' * MIB}")), BROKEN),
        "100,000 part headers": (form(part("file", b"x", *["X: y"] * 100_000)), BROKEN),
        "a part header without an end": (f"--{BOUNDARY}\r\nX: ".encode() + b"x" * MIB, BROKEN),
        "20,000 parts": (form(*[part("note", b"")] * 20_000, file), BROKEN),
        "a file behind the file": (form(file, part("other", b"x", filename="x")), UNEXPECTED),
        "two files": (form(file, file), UNEXPECTED),
        "two exams": (form(part("examenID", b"EX-1"), file, part("examenID", b"EX-2")), UNEXPECTED),
        "a field of 1 MB": (form(part("description", b"x" * MIB), file), BROKEN),
        "a field that nobody knows of 1 MB": (form(part("note", b"x" * MIB), file), BROKEN),
        "an epilogue of 3 MB": (form(file)[:-2] + b"\r\n" + b"epilogue" * 400_000, BROKEN),
        "a preamble": (b"preamble\r\n" + form(file), BROKEN),
    }


def _ends(file: bytes) -> Found:
    inner = form(file).replace(BOUNDARY.encode(), b"inner")
    nested = part("file", inner, "Content-Type: multipart/mixed; boundary=inner", filename="x")
    return {
        "no parts": (form(), MISSING),
        "nothing at all": (b"", BROKEN),
        "no end": (file, BROKEN),
        "an end that is cut off": (form(file)[:-6], BROKEN),
        "another boundary": (form(file).replace(BOUNDARY.encode(), b"another"), BROKEN),
        "nearly the boundary, a million times": (f"\r\n--{BOUNDARY[:-1]}".encode() * (3 * MIB // 20), BROKEN),
        "a file of near boundaries": (
            form(file_part(f"\r\n--{BOUNDARY[:-1]}".encode() * (3 * MIB // 20))),
            (400, "not-dicom"),
        ),
        "a form in a form": (form(nested), (400, "not-dicom")),
        "a file in base64": (
            form(part("file", b"AAAA" * 100, "Content-Transfer-Encoding: base64")),
            (400, "not-dicom"),
        ),
    }


def _names(file: bytes) -> Found:
    return {
        "a part without a name": (form(part("", b"x", filename="x"), file), UNEXPECTED),
        "a name that is a path": (form(part("../../etc/passwd", b"x", filename="x")), UNEXPECTED),
        "a file name of 5,000 letters": (form(part("file", b"x", filename="n" * 5000)), BROKEN),
        "a name of 5,000 letters": (form(part("n" * 5000, b"x", filename="x")), BROKEN),
        "an exam of control characters": (form(part("examenID", b"EX\r\n1"), file), INVALID),
        "an exam that is no UTF-8": (form(part("examenID", b"\xff\xfe"), file), BROKEN),
        "a description with a NUL": (form(part("description", b"a\0b"), file), INVALID),
    }


FILE_NAMES = {
    "a path": "../../../../etc/passwd",
    "a path of Windows": "C:\\\\..\\\\boot.ini",
    "255 letters": "n" * 255,
    "a script": "<script>alert(1)</script>.dcm",
    "a shell": "$(reboot);`reboot`.dcm",
    "right to left": "\u202egnp.dcm",
    "a NUL": "a\0b.dcm",
}
