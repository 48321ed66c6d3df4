"""The multipart body of an upload, read as a stream: the file's bytes come out as they come in, text fields are kept.

RFC 7578. At most the current chunk and the two short text fields are held.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from services.upload_service.errors import FieldUnexpected, FileMissing, FileTooLarge, FormBroken, NotMultipart
from shared.errors import FieldError, InvalidInput
from shared.texts import LONGEST_PROSE, NOT_IN_NAME, PROSE
from shared.validation_words import wrong_pattern

TEXT_LIMITS = {"examenID": 36, "description": LONGEST_PROSE}  # characters
_RULES = {"examenID": re.compile(f"[^/{NOT_IN_NAME}]*"), "description": re.compile(PROSE)}
OTHER_TEXT = 10_000  # characters of a text field that is not known here, and ignored
OVERHEAD = 1024 * 1024  # boundaries, part headers and text fields, in bytes
PARTS = 50  # of a form; three have a meaning here


def boundary_of(content_type: str) -> bytes:
    """The boundary of a multipart/form-data content type. Raises NotMultipart or FormBroken."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise NotMultipart
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise FormBroken(what_en="its content type names no boundary", what_fr="son type ne donne pas de « boundary »")
    return boundary


class UploadForm:
    """One upload's form. Read `file()` to its end; `fields` is whole then. `length`: of the body, where it is told."""

    def __init__(self, content_type: str, body: AsyncIterable[bytes], limit: int, length: int | None = None) -> None:
        self.fields: dict[str, str] = {}
        self.length = length
        self._body = body
        self._limit = limit
        self._seen: set[str] = set()
        self._name = ""
        self._header: list[bytes] = [b"", b""]
        self._headers: dict[bytes, bytes] = {}
        self._text = bytearray()
        self._pieces: list[bytes] = []
        self._size = 0
        self._parts = 0
        self._ended = False
        self._parser = MultipartParser(
            boundary_of(content_type),
            {
                "on_part_begin": self._part_begins,
                "on_part_data": self._part_data,
                "on_part_end": self._part_ends,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_finished,
                "on_end": self._end,
            },
        )

    async def file(self) -> AsyncIterator[bytes]:
        """The file's bytes in pieces. Raises FileTooLarge, FileMissing, FieldUnexpected, FormBroken."""
        total = 0
        async for chunk in self._body:
            total += len(chunk)
            if total > self._limit + OVERHEAD:
                raise FileTooLarge(limit=self._limit)
            try:
                self._parser.write(chunk)
            except MultipartParseError:
                raise FormBroken(what_en="its parts are malformed", what_fr="ses parties sont mal formées") from None
            for piece in self._take():
                yield piece
            if total - self._size > OVERHEAD:
                raise FormBroken(what_en="too much of it is not the file", what_fr="trop n'y est pas le fichier")
        if not self._ended:
            raise FormBroken(what_en="it ends too early", what_fr="il s'arrête trop tôt")
        if "file" not in self._seen:
            raise FileMissing

    def _take(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces

    def _part_begins(self) -> None:
        self._headers, self._text = {}, bytearray()
        self._parts += 1
        if self._parts > PARTS:
            raise FormBroken(what_en=f"it has more than {PARTS} parts", what_fr=f"il a plus de {PARTS} parties")

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def _header_ends(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = [b"", b""]

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        self._name = name
        if name != "file" and name not in TEXT_LIMITS:
            if b"filename" in options:
                raise FieldUnexpected(what_en=_quoted(name), what_fr=_quoted(name))
            return  # a further text field is ignored
        if name in self._seen:
            raise FieldUnexpected(what_en=f"a second {name!r}", what_fr=f"un second {name!r}")
        self._seen.add(name)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name != "file":
            self._text += data[start:end]
            if len(self._text) > 4 * TEXT_LIMITS.get(self._name, OTHER_TEXT):  # UTF-8: at most four bytes a character
                raise _too_long(self._name)
            return
        self._size += end - start
        if self._size > self._limit:
            raise FileTooLarge(limit=self._limit)
        self._pieces.append(data[start:end])

    def _part_ends(self) -> None:
        if self._name not in TEXT_LIMITS:
            return
        try:
            text = self._text.decode()
        except UnicodeDecodeError:
            what = f"{self._name!r}: UTF-8"
            raise FormBroken(what_en=what, what_fr=what) from None
        if len(text) > TEXT_LIMITS[self._name]:
            raise _too_long(self._name)
        if not _RULES[self._name].fullmatch(text):
            raise InvalidInput([FieldError(self._name, *wrong_pattern(text))])
        self.fields[self._name] = text

    def _end(self) -> None:
        self._ended = True


def _quoted(name: str) -> str:
    return f"'{name[:40]}'" if name.isascii() and name.isprintable() and name else "''"


def _too_long(name: str) -> FormBroken:
    limit = TEXT_LIMITS.get(name, OTHER_TEXT)
    return FormBroken(
        what_en=f"{_quoted(name)} takes at most {limit} characters of text",
        what_fr=f"{_quoted(name)} : au plus {limit} caractères",
    )
