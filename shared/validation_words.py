"""Pydantic's validation errors in words for a person, in English and French, without values that may name a patient."""

from typing import Any

from shared.errors import FieldError
from shared.texts import HARMFUL_EN, HARMFUL_FR, is_harmful

# Pydantic's error type -> (English, French); {ctx} names are pydantic's own.
_WORDS: dict[str, tuple[str, str]] = {
    "missing": ("is missing", "manque"),
    "json_invalid": ("is not valid JSON", "n'est pas du JSON valide"),
    "string_type": ("must be text", "doit être un texte"),
    "string_too_short": ("needs at least {min_length} character(s)", "demande au moins {min_length} caractère(s)"),
    "string_too_long": ("takes at most {max_length} characters", "accepte au plus {max_length} caractères"),
    "string_pattern_mismatch": ("has a form that is not allowed", "a une forme qui n'est pas admise"),
    "int_type": ("must be an integer", "doit être un entier"),
    "int_parsing": ("must be an integer", "doit être un entier"),
    "greater_than_equal": ("must be at least {ge}", "doit valoir au moins {ge}"),
    "less_than_equal": ("must be at most {le}", "doit valoir au plus {le}"),
    "list_type": ("must be a list", "doit être une liste"),
    "too_long": ("takes at most {max_length} entries", "accepte au plus {max_length} éléments"),
    "model_attributes_type": ("must be a JSON object", "doit être un objet JSON"),
    "model_type": ("must be a JSON object", "doit être un objet JSON"),
    "datetime_from_date_parsing": (
        "must be a date and time like 1996-03-08T00:00:00Z",
        "doit être une date et heure, par exemple 1996-03-08T00:00:00Z",
    ),
    "datetime_parsing": (
        "must be a date and time like 1996-03-08T00:00:00Z",
        "doit être une date et heure, par exemple 1996-03-08T00:00:00Z",
    ),
    "datetime_type": (
        "must be a date and time like 1996-03-08T00:00:00Z",
        "doit être une date et heure, par exemple 1996-03-08T00:00:00Z",
    ),
    "date_out_of_range": (
        "must lie between the years 1000 and 9999 in UTC",
        "doit être comprise entre les années 1000 et 9999 en UTC",
    ),
    "timezone_aware": ("needs an offset, such as Z or +01:00", "demande un décalage, par exemple Z ou +01:00"),
    "literal_error": ("must be one of {expected}", "doit être l'une des valeurs {expected}"),
}
_OTHERWISE = ("does not fit", "n'est pas valide")
# Fields whose values may be shown: UIDs, numbers, dates, enumerations, URLs.
_SHOWN = {"url", "quality", "frame", "width", "height", "limit", "dateAcquisition", "version"}
_SHOWN |= {"studyInstanceUID", "seriesInstanceUID", "sopInstanceUID"}


def wrong_pattern(value: object) -> tuple[str, str]:
    """What is wrong with a text that does not fit its pattern, in English and French."""
    return (HARMFUL_EN, HARMFUL_FR) if is_harmful(value) else _WORDS["string_pattern_mismatch"]


def in_words(item: Any) -> FieldError:
    """One entry of `ValidationError.errors()` as a field error."""
    where = [str(step) for step in item["loc"] if step not in ("body", "query", "path", "header")]
    kind, context = item["type"], item.get("ctx", {})
    field = "body" if kind == "json_invalid" or not where else ".".join(where)
    en, fr = (words.format(**context) for words in _WORDS.get(kind, _OTHERWISE))
    value = item.get("input")
    if kind == "string_pattern_mismatch":
        en, fr = wrong_pattern(value)
    shown = None
    if where and where[-1] in _SHOWN and isinstance(value, str | int | float):
        shown = str(value).encode(errors="replace").decode()
    return FieldError(field, en, fr, shown)
