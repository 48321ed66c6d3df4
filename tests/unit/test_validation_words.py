"""Validation errors in words: each kind that is known, caused for real, and no value that may be about a patient."""

from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared.errors import FieldError
from shared.events import ExamId
from shared.texts import Name, Prose
from shared.timestamps import Timestamp
from shared.validation_words import _WORDS, in_words


class Inner(BaseModel):
    a: int


class FromAttributes(BaseModel):
    model_config = ConfigDict(from_attributes=True)


DATE = "must be a date and time like 1996-03-08T00:00:00Z"
# Pydantic's kind of error, a type and an input that cause it, and what is said.
KINDS: list[tuple[str, Any, Any, str]] = [
    ("missing", Inner, {}, "is missing"),
    ("json_invalid", Inner, b"{", "is not valid JSON"),
    ("string_type", str, 5, "must be text"),
    ("string_too_short", Annotated[str, Field(min_length=2)], "x", "needs at least 2 character(s)"),
    ("string_too_long", Annotated[str, Field(max_length=2)], "xyz", "takes at most 2 characters"),
    ("string_pattern_mismatch", Annotated[str, Field(pattern="^a$")], "b", "has a form that is not allowed"),
    ("int_type", Annotated[int, Field(strict=True)], "5", "must be an integer"),
    ("int_type", int, None, "must be an integer"),
    ("int_parsing", int, "five", "must be an integer"),
    ("greater_than_equal", Annotated[int, Field(ge=1)], 0, "must be at least 1"),
    ("less_than_equal", Annotated[int, Field(le=100)], 101, "must be at most 100"),
    ("list_type", list[str], "x", "must be a list"),
    ("too_long", Annotated[list[str], Field(max_length=1)], ["a", "b"], "takes at most 1 entries"),
    ("model_type", Inner, 5, "must be a JSON object"),
    ("model_attributes_type", FromAttributes, 5, "must be a JSON object"),
    ("datetime_from_date_parsing", datetime, "soon", DATE),
    ("datetime_parsing", Annotated[datetime, Field(strict=True)], b'"1996-03-08T25:00:00Z"', DATE),
    ("datetime_type", datetime, [], DATE),
    ("timezone_aware", AwareDatetime, "1996-03-08T00:00:00", "needs an offset, such as Z or +01:00"),
    ("date_out_of_range", Timestamp, "0999-12-31T23:59:59Z", "must lie between the years 1000 and 9999 in UTC"),
    ("string_pattern_mismatch", Name, "C\0T", "must not hold control characters or invisible ones"),
    ("string_pattern_mismatch", Prose, "a\u202eb", "must not hold control characters or invisible ones"),
    ("string_pattern_mismatch", ExamId, "a/b", "has a form that is not allowed"),
    ("literal_error", Literal["a", "b"], "c", "must be one of 'a' or 'b'"),
]


def errors_of(kind: Any, value: Any) -> list[Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    with pytest.raises(ValidationError) as failed:
        adapter.validate_json(value) if isinstance(value, bytes) else adapter.validate_python(value)
    return [dict(item) for item in failed.value.errors()]


@pytest.mark.parametrize(
    ("kind", "type_", "value", "words"), KINDS, ids=[f"{kind[0]}-{kind[1]}"[:40] for kind in KINDS]
)
def test_each_kind_in_words(kind: str, type_: Any, value: Any, words: str) -> None:
    [item] = errors_of(type_, value)
    said = in_words({**item, "loc": ("body", "field")})
    assert item["type"] == kind
    assert said.en == words
    assert said.fr != words
    assert "{" not in said.en + said.fr


def test_every_kind_that_has_words_is_tried_here() -> None:
    assert set(_WORDS) <= {kind for kind, *_ in KINDS}


@pytest.mark.parametrize(
    ("type_", "value"), [(bool, "perhaps"), (int, "9" * 5000), (Annotated[str, Field(max_length=3)], "\ud800")]
)
def test_what_has_no_words_of_its_own_is_said_plainly(type_: Any, value: Any) -> None:
    [item] = errors_of(type_, value)
    assert in_words({**item, "loc": ("body", "it")}) == FieldError("it", "does not fit", "n'est pas valide")


@pytest.mark.parametrize(
    ("loc", "field"),
    [
        (("body", "inner", "a"), "inner.a"),
        (("query", "limit"), "limit"),
        (("path", "imageID"), "imageID"),
        (("header", "accept"), "accept"),
        (("body", "principals", 3), "principals.3"),
        (("body",), "body"),
        ((), "body"),
    ],
)
def test_the_field_is_named_by_its_path(loc: tuple[str | int, ...], field: str) -> None:
    assert in_words({"type": "int_type", "loc": loc, "input": None}).field == field


def test_broken_json_is_the_bodys_and_not_a_bytes() -> None:
    assert in_words({"type": "json_invalid", "loc": ("body", 17), "input": {}, "ctx": {"error": "x"}}).field == "body"


@pytest.mark.parametrize(
    "field", ["description", "modalite", "examenID", "accessionNumber", "patientID", "principals", "cursor", "other"]
)
def test_free_text_is_never_repeated(field: str) -> None:
    [item] = errors_of(Annotated[str, Field(max_length=3)], "JANE^DOE")
    said = in_words({**item, "loc": ("body", field)})
    assert said.value is None
    assert "JANE" not in said.en + said.fr


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("quality", "0", "0"),
        ("frame", "none", "none"),
        ("width", 5000, "5000"),
        ("limit", "x" * 100, "x" * 80),
        ("version", 1.5, "1.5"),
        ("studyInstanceUID", "1.2.x", "1.2.x"),
        ("seriesInstanceUID", "", ""),
        ("sopInstanceUID", "1..2", "1..2"),
        ("dateAcquisition", "yesterday", "yesterday"),
        ("sopInstanceUID", None, None),
        ("sopInstanceUID", {"name": "JANE^DOE"}, None),
        ("sopInstanceUID", ["JANE^DOE"], None),
        ("version", b"5", None),
    ],
)
def test_uids_numbers_and_dates_are_shown(field: str, value: object, shown: str | None) -> None:
    said = in_words({"type": "anything", "loc": ("body", field), "input": value})
    assert said.said("en").get("value") == shown
