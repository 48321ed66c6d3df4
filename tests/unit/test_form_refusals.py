"""Forms that are refused: each with the status and the words of what is wrong with it."""

from collections.abc import AsyncIterator

import pytest

from services.upload_service.errors import FieldUnexpected, FileMissing, FileTooLarge, FormBroken
from services.upload_service.form import UploadForm
from shared.errors import InvalidInput, Problem
from tests.unit.multipart import BOUNDARY, CONTENT_TYPE, arriving, file_part, form, part

LIMIT = 1000
FILE = file_part(b"content")


async def refusal(body: bytes, chunk: int = 65536, limit: int = LIMIT) -> Problem:
    upload = UploadForm(CONTENT_TYPE, arriving(body, chunk), limit)
    with pytest.raises(Problem) as refused:
        async for _ in upload.file():
            pass
    return refused.value


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (form(part("image", b"x", filename="image.dcm")), FieldUnexpected, "unexpected part: 'image'"),
        (form(part("File", b"x", filename="image.dcm")), FieldUnexpected, "unexpected part: 'File'"),
        (form(FILE, part("thumbnail", b"x", filename="")), FieldUnexpected, "unexpected part: 'thumbnail'"),
        (form(part("", b"x", filename="x"), FILE), FieldUnexpected, "unexpected part: ''"),
        (form(part("image-é", b"x", filename="x"), FILE), FieldUnexpected, "unexpected part: ''"),
        (form(part("n" * 200, b"x", filename="x"), FILE), FieldUnexpected, f"unexpected part: '{'n' * 40}'"),
        (form(part("image", b"x")), FileMissing, "put the DICOM file into a part named 'file'"),
        (form(part("note", b"x" * 50_000), FILE), FormBroken, "'note' takes at most 10000"),
        (form(FILE, FILE), FieldUnexpected, "a second 'file'"),
        (form(part("examenID", b"1"), FILE, part("examenID", b"1")), FieldUnexpected, "a second 'examenID'"),
        (form(), FileMissing, "no file"),
        (form(part("examenID", b"EX-1")), FileMissing, "no file"),
        (form(part("examenID", b"x" * 37), FILE), FormBroken, "'examenID' takes at most 36 characters"),
        (form(FILE, part("examenID", b"x" * 37)), FormBroken, "'examenID' takes at most 36 characters"),
        (form(part("description", "é".encode() * 4001), FILE), FormBroken, "'description' takes at most 4000"),
        (form(part("description", b"x" * 1_000_000), FILE), FormBroken, "'description' takes at most 4000"),
        (form(part("examenID", b"EX\0"), FILE), InvalidInput, "examenID: must not hold control characters"),
        (form(part("examenID", b"EX\r\nLog: forged"), FILE), InvalidInput, "examenID: must not hold control"),
        (form(part("examenID", "EX\u202e1".encode()), FILE), InvalidInput, "examenID: must not hold control"),
        (form(part("examenID", "EX\u200b1".encode()), FILE), InvalidInput, "examenID: must not hold control"),
        (form(part("examenID", b"EX/1"), FILE), InvalidInput, "examenID: has a form that is not allowed"),
        (form(part("description", b"\0"), FILE), InvalidInput, "description: must not hold control characters"),
        (form(part("description", b"a\x1b[2Jb"), FILE), InvalidInput, "description: must not hold control"),
        (form(FILE, part("description", "a\u202eb".encode())), InvalidInput, "description: must not hold control"),
        (form(part("examenID", b"\xe9"), FILE), FormBroken, "'examenID': UTF-8"),
        (form(FILE, part("description", b"\xff\xfe")), FormBroken, "'description': UTF-8"),
        (form(file_part(b"x" * 1001)), FileTooLarge, "larger than the 1000 bytes"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 65536])
async def test_what_a_form_may_not_have(body: bytes, kind: type[Problem], words: str, chunk: int) -> None:
    problem = await refusal(body, chunk if len(body) < 10_000 else 65536)
    assert type(problem) is kind
    assert words in problem.sentence("en")
    assert 400 <= problem.status < 500


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        b"--another-boundary\r\n\r\nx\r\n--another-boundary--\r\n",
        b"a preamble\r\n" + form(FILE),
        f'--{BOUNDARY}\nContent-Disposition: form-data; name="file"\n\nx\n--{BOUNDARY}--\n'.encode(),
        f"--{BOUNDARY}\r\nContent Disposition: form-data\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(),
        f"--{BOUNDARY}\r\n: form-data\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(),
        f"--{BOUNDARY}\r\nX: {'x' * 10_000}\r\n\r\n".encode(),
        f"--{BOUNDARY}\r\n".encode() + b"X: y\r\n" * 100 + b"\r\n",
        f"--{BOUNDARY}\r\nX: y\rz\r\n\r\n".encode(),
    ],
)
@pytest.mark.parametrize("chunk", [1, 65536])
async def test_what_is_no_form(body: bytes, chunk: int) -> None:
    assert type(await refusal(body, chunk)) is FormBroken


@pytest.mark.parametrize("chunk", [1, 65536])
async def test_a_body_cut_off_anywhere(chunk: int) -> None:
    body = form(part("examenID", b"EX-1"), FILE)
    for size in range(len(body) - len("\r\n")):
        problem = await refusal(body[:size], chunk)
        assert type(problem) is FormBroken, size
        assert "it ends too early" in problem.sentence("en"), size
        assert "trop tôt" in problem.sentence("fr"), size


async def test_too_many_parts() -> None:
    notes = [part("note", b"x")] * 50
    assert "more than 50 parts" in str(await refusal(form(*notes, FILE)))
    async for _ in UploadForm(CONTENT_TYPE, arriving(form(*notes[1:], FILE)), LIMIT).file():
        pass


async def test_too_much_that_is_not_the_file() -> None:
    long = form(FILE)[:-2] + b"\r\nan epilogue" * 200_000
    assert "too much of it is not the file" in str(await refusal(long, limit=10**9))


async def test_too_large_is_told_before_the_rest_arrives() -> None:
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        yield file_part(b"")[:-2]
        while True:
            taken += 100
            yield b"x" * 100

    with pytest.raises(FileTooLarge):
        async for _ in UploadForm(CONTENT_TYPE, body(), LIMIT).file():
            pass
    assert taken == 1100


async def test_a_body_that_goes_on_behind_its_end_is_too_large_some_day() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield form(FILE)
        while True:
            yield b"epilogue" * 10_000

    with pytest.raises(FileTooLarge):
        async for _ in UploadForm(CONTENT_TYPE, body(), LIMIT).file():
            pass
