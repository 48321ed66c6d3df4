"""The upload's form, read as it streams in: however it is cut into chunks, what comes out is what was sent."""

from collections.abc import AsyncIterator

import pytest

from services.upload_service.errors import FileTooLarge, FormBroken, NotMultipart
from services.upload_service.form import OVERHEAD, UploadForm, boundary_of
from tests.unit.multipart import BOUNDARY, CONTENT_TYPE, arriving, file_part, form, in_pieces, part

LIMIT = 10_000
# Everything that looks like the end of a part, and is not.
NEARLY = (
    b"\r\n--limit-of-a-par\r\n--limit-of-a-part-and-more\r\n-\r\n--\r\r\n\n--limit-of-a-part\r--limit-of-a-part--"
    b"\r\n--LIMIT-OF-A-PART\r\n\0\xff\r\n\r\n"
)


async def read(body: bytes, chunk: int = 65536, limit: int = LIMIT) -> tuple[bytes, dict[str, str]]:
    """The file and the fields of a body that arrives in chunks of this size."""
    upload = UploadForm(CONTENT_TYPE, arriving(body, chunk), limit)
    content = b"".join([piece async for piece in upload.file()])
    return content, upload.fields


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 13, 64, 1000, 65536])
@pytest.mark.parametrize("content", [b"", b"x", b"\r\n", NEARLY, NEARLY[:-4], bytes(range(256)) * 8])
async def test_a_file_between_two_fields(content: bytes, chunk: int) -> None:
    body = form(part("examenID", b"EX-1"), file_part(content), part("description", "Thorax, côté gauche".encode()))
    assert await read(body, chunk) == (content, {"examenID": "EX-1", "description": "Thorax, côté gauche"})


@pytest.mark.parametrize("chunk", [1, 5, 65536])
async def test_fields_after_the_file(chunk: int) -> None:
    body = form(file_part(b"content"), part("description", b""), part("examenID", b"EX-2"))
    assert await read(body, chunk) == (b"content", {"examenID": "EX-2", "description": ""})


async def test_fields_are_optional() -> None:
    assert await read(form(file_part(b"content"))) == (b"content", {})


async def test_further_text_fields_are_ignored() -> None:
    unknown = part("patient", b"x" * 10_000) + part("patient", b"\xff") + part("", b"") + part("EXAMENID", b"EX-2")
    nameless = f"--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nx\r\n".encode()
    body = form(unknown, part("examenID", b"EX-1"), nameless, file_part(b"content"), unknown)
    assert await read(body) == (b"content", {"examenID": "EX-1"})


async def test_pieces_come_out_while_the_body_comes_in() -> None:
    body = form(file_part(b"a" * 3000))
    upload = UploadForm(CONTENT_TYPE, arriving(body, 500), LIMIT)
    pieces = [piece async for piece in upload.file()]
    assert b"".join(pieces) == b"a" * 3000
    assert max(map(len, pieces)) <= 500


async def test_nothing_is_read_beyond_what_is_asked_for() -> None:
    sent: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        for number in range(5):
            sent.append(number)
            yield (file_part(b"a" * 100)[:-2] if number == 0 else b"b" * 100)

    pieces = UploadForm(CONTENT_TYPE, body(), LIMIT).file()
    assert await anext(pieces) == b"a" * 100
    assert sent == [0]


async def test_uneven_chunks() -> None:
    body = form(part("examenID", b"EX-1"), file_part(NEARLY))
    for cut in range(1, len(body)):
        upload = UploadForm(CONTENT_TYPE, in_pieces([body[:cut], body[cut:]]), LIMIT)
        assert b"".join([piece async for piece in upload.file()]) == NEARLY, cut
        assert upload.fields == {"examenID": "EX-1"}, cut


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="file"; filename="image.dcm"',
        "form-data; name=file; filename=image.dcm",
        'form-data; name="file"; filename="a \\"quoted\\" name; with semicolon.dcm"',
        'form-data; name="file"; filename="C:\\\\scans\\\\image.dcm"',
        'form-data; name="file"; filename="Müller.dcm"; filename*=UTF-8\'\'M%C3%BCller.dcm',
        'form-data; filename="image.dcm"; name="file"',
        'form-data; name="file"',
        'form-data; name="file"; filename=""',
        'FORM-DATA; NAME="file"; FILENAME="x"',
        'form-data;name="file";filename="name=examenID"',
    ],
)
async def test_how_clients_name_the_file(disposition: str) -> None:
    body = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + b"content\r\n"
    assert await read(form(body)) == (b"content", {})


@pytest.mark.parametrize("spelling", ["content-disposition", "CONTENT-DISPOSITION", "Content-disposition"])
async def test_the_names_of_headers_in_any_case(spelling: str) -> None:
    body = f'--{BOUNDARY}\r\nContent-Type: text/plain\r\n{spelling}: form-data; name="file"\r\n\r\nx\r\n'.encode()
    assert await read(form(body)) == (b"x", {})


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n\r\n"])
@pytest.mark.parametrize("after", [b"", b"\r\n", b"an epilogue that nobody reads\r\n--limit-of-a-part\r\n"])
@pytest.mark.parametrize("chunk", [1, 65536])
async def test_blank_lines_before_and_an_epilogue_after(before: bytes, after: bytes, chunk: int) -> None:
    assert await read(before + form(file_part(b"content")) + after, chunk) == (b"content", {})


@pytest.mark.parametrize("chunk", [1, 65536])
async def test_a_file_of_just_the_limit(chunk: int) -> None:
    assert (await read(form(file_part(b"x" * 300)), chunk, limit=300))[0] == b"x" * 300


async def test_a_body_of_just_the_limit_and_what_a_form_adds() -> None:
    body = form(file_part(b"x" * 300))
    epilogue = b"." * (300 + OVERHEAD - len(body))
    assert (await read(body + epilogue, limit=300))[0] == b"x" * 300
    with pytest.raises(FileTooLarge):
        await read(body + epilogue + b".", limit=300)


@pytest.mark.parametrize(("name", "length"), [("examenID", 36), ("description", 4000)])
@pytest.mark.parametrize("letter", ["x", "é", "𝄞"])
async def test_a_text_of_just_the_limit_counted_in_characters(name: str, length: int, letter: str) -> None:
    body = form(part(name, (letter * length).encode()), file_part(b"x"))
    assert (await read(body))[1] == {name: letter * length}


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ("multipart/form-data; boundary=x", b"x"),
        ('multipart/form-data; boundary="a b:c"', b"a b:c"),
        ("Multipart/Form-Data; charset=utf-8; Boundary=abc", b"abc"),
        (
            "multipart/form-data;boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
            b"----WebKitFormBoundary7MA4YWxkTrZu0gW",
        ),
        ("multipart/form-data; boundary=" + "x" * 70, b"x" * 70),
    ],
)
def test_the_boundary(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data;",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; charset=utf-8",
        "multipart/form-data; boundary=" + "x" * 71,
        "multipart/form-data; boundary=" + "x" * 5000,
    ],
)
def test_a_form_without_a_usable_boundary(content_type: str) -> None:
    with pytest.raises(FormBroken, match="names no boundary"):
        boundary_of(content_type)


@pytest.mark.parametrize(
    "content_type",
    ["", "application/dicom", "application/json", "multipart/mixed; boundary=x", "text/plain; boundary=x", ";", "é/è"],
)
def test_another_content_type(content_type: str) -> None:
    with pytest.raises(NotMultipart):
        boundary_of(content_type)
