"""The rule of which characters a text may hold, and that it reads the same wherever it stands."""

import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from services.operator import screen
from shared import texts
from tests.unit.hostile_texts import BREAKS, GOOD_NAMES, GOOD_PROSE, HARMFUL, UNSEEN

NAMES, PROSE = TypeAdapter[str](texts.Name), TypeAdapter[str](texts.Prose)


def fits(rule: TypeAdapter[str], text: str) -> bool:
    try:
        return rule.validate_python(text) == text
    except ValidationError:
        return False


@pytest.mark.parametrize("text", [*HARMFUL.values(), *BREAKS.values(), *UNSEEN.values()], ids=ascii)
def test_what_no_name_may_hold(text: str) -> None:
    assert not fits(NAMES, text)
    assert texts.is_harmful(text)
    assert not texts.is_name(text)
    assert texts.name_or_none(text, 64) is None


@pytest.mark.parametrize("text", HARMFUL.values(), ids=ascii)
def test_what_no_description_may_hold(text: str) -> None:
    assert not fits(PROSE, text)


@pytest.mark.parametrize("text", GOOD_NAMES, ids=ascii)
def test_a_name_in_any_language(text: str) -> None:
    assert fits(NAMES, text)
    assert texts.is_name(text)
    assert texts.name_or_none(text, 64) == text
    assert texts.visible(text) == text


@pytest.mark.parametrize("text", GOOD_PROSE, ids=ascii)
def test_a_description_in_any_language(text: str) -> None:
    assert fits(PROSE, text)


@pytest.mark.parametrize("text", [*GOOD_NAMES, *UNSEEN.values()], ids=ascii)
def test_a_line_in_any_language(text: str) -> None:
    assert re.fullmatch(texts.LINE, text)


@pytest.mark.parametrize("text", [*HARMFUL.values(), *BREAKS.values()], ids=ascii)
def test_what_no_line_may_hold(text: str) -> None:
    assert not re.fullmatch(texts.LINE, text)


def test_the_rules_against_unicode_itself() -> None:
    """Every control, separator, format character and surrogate of the first plane is known here or let through."""
    for code in range(0x10000):
        character, category = chr(code), unicodedata.category(chr(code))
        if category in ("Cc", "Zl", "Zp", "Cs"):
            assert texts.is_harmful(character), hex(code)
        bidi = unicodedata.bidirectional(character)
        if bidi in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"):
            assert not re.fullmatch(texts.PROSE, character), hex(code)
        if texts.is_harmful(character):
            assert category in ("Cc", "Cf", "Zl", "Zp", "Cs", "Cn", "Mn", "Lo"), hex(code)
            assert not character.isalnum() or code in (0x115F, 0x1160, 0x3164, 0xFFA0), hex(code)


@given(st.text(max_size=50))
def test_a_rule_is_one_rule_wherever_it_is_asked(text: str) -> None:
    assert fits(NAMES, text) == (not texts.is_harmful(text))
    assert texts.is_name(text) == (0 < len(text) <= 255 and fits(NAMES, text))
    assert fits(PROSE, text) == bool(re.fullmatch(texts.PROSE, text))
    if fits(NAMES, text):
        assert fits(PROSE, text)


@given(st.text(alphabet=st.characters(), max_size=50))
def test_what_is_printed_does_nothing_to_a_terminal(text: str) -> None:
    shown = texts.visible(text)
    assert not texts.is_harmful(re.sub("[\t\n\r]", "", shown))


@pytest.mark.parametrize("value", [None, 5, b"x", ["a"], "", "x" * 256])
def test_what_is_no_name_at_all(value: Any) -> None:
    assert not texts.is_name(value)


def test_a_name_of_a_file_is_kept_up_to_its_length() -> None:
    assert (texts.name_or_none("CT", 2), texts.name_or_none("CTX", 2), texts.name_or_none(None, 2)) == (
        "CT",
        None,
        None,
    )


@pytest.mark.parametrize("text", [*HARMFUL.values(), *UNSEEN.values()], ids=ascii)
def test_the_command_prints_no_such_thing(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    screen.say(text)
    screen.refuse(text)
    screen.say_rows([(text, text)])
    screen.say_json({"reason": text})
    said = capsys.readouterr()
    assert not texts.is_harmful(re.sub("[\n]", "", said.out + said.err))
    assert "\\u" in said.out
