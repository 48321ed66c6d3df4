"""Which characters a text from outside may hold: one rule for every field that comes in.

A control character can break a database, a log line or a terminal; one that turns the writing direction, or is not
seen at all, makes a text look like another (Unicode TR36, TR39). The rules are patterns, so that the OpenAPI documents
and JSON Schemas show them; they read the same in Python, Rust and ECMAScript.

Name    one line that names something: identifiers, principals, accession numbers. No invisible character.
Line    one line in any language: what an operator gives as a reason.
Prose   several lines in any language: descriptions.
"""

import re
from typing import Annotated, TypeGuard

from pydantic import Field

_BREAKS = r"\t\n\r"
_CONTROLS = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u2028\u2029"  # Cc without breaks, Zl, Zp
_TURNING = r"\u202a-\u202e\u2066-\u2069"  # embeddings, overrides and isolates of UAX 9
# Marks, joiners and fillers that are needed to write some languages, and never to name something.
_UNSEEN = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2060-\u2065\u206a-\u206f"
    r"\u3164\ufeff\uffa0\ufff9-\ufffb"
)
NOT_IN_PROSE = _CONTROLS + _TURNING
NOT_IN_LINE = _BREAKS + NOT_IN_PROSE
NOT_IN_NAME = NOT_IN_LINE + _UNSEEN

NAME = f"^[^{NOT_IN_NAME}]*$"
LINE = f"^[^{NOT_IN_LINE}]*$"
PROSE = f"^[^{NOT_IN_PROSE}]*$"
LONGEST_NAME = 255
LONGEST_PROSE = 4000

Name = Annotated[str, Field(pattern=NAME)]
Prose = Annotated[str, Field(pattern=PROSE)]

_HARMFUL = re.compile(f"[{NOT_IN_NAME}\ud800-\udfff]")
_HARMFUL_IN_PROSE = re.compile(f"[{NOT_IN_PROSE}\ud800-\udfff]")


HARMFUL_EN = "must not hold control characters or invisible ones"
HARMFUL_FR = "ne doit pas contenir de caractères de contrôle ni invisibles"


def is_name(value: object, longest: int = LONGEST_NAME) -> TypeGuard[str]:
    """Whether it is a text that can name something: not empty, of at most so many characters, all of them seen."""
    return isinstance(value, str) and 0 < len(value) <= longest and not _HARMFUL.search(value)


def is_prose(text: str) -> bool:
    """Whether the text does no harm where it is stored, printed or shown."""
    return not _HARMFUL_IN_PROSE.search(text)


def is_harmful(text: object) -> bool:
    """Whether a text that does not fit holds what no name may hold."""
    return isinstance(text, str) and _HARMFUL.search(text) is not None


def name_or_none(text: str | None, longest: int) -> str | None:
    """The text of a file that names something; None where it is too long or harmful: left out, not made another."""
    return text if is_name(text, longest) else None


def visible(text: str) -> str:
    """The text for a terminal: harmful characters as their code points, line breaks and tabs as they are."""
    return _HARMFUL.sub(lambda found: found[0] if found[0] in "\t\n\r" else f"\\u{ord(found[0]):04x}", text)
