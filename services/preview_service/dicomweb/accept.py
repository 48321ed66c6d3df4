"""What a client of DICOMweb accepts: media types with their transfer syntaxes (PS3.18, 8.7.3)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.preview_service.errors import NotAcceptable

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
ANY = "*"
_RANGE = re.compile(r'(?:[^,"]|"[^"]*")+')
_PARAMETER = re.compile(r'(?:[^;"]|"[^"]*")+')


@dataclass(frozen=True)
class Wish:
    """A media type, whether it comes as a part of `multipart/related`, and a transfer syntax where one is named."""

    kind: str
    multipart: bool
    syntax: str | None


def wishes(accept: str, kind: str, *, single: bool = False) -> list[Wish]:
    """The ranges that `kind` fits, the best first; `single`: it may be given alone too. Raises NotAcceptable."""
    found = sorted(_read(accept), key=lambda one: -one[1])
    fitting = [Wish(kind, wish.multipart, wish.syntax) for wish, _ in found if _fits(wish, kind, single=single)]
    if not fitting:
        raise NotAcceptable(types=f'multipart/related; type="{kind}"')
    return fitting


def frame_wishes(accept: str) -> list[Wish]:
    """The ranges that frames may fit, the best first: any media type, as parts. Raises NotAcceptable."""
    fitting = [wish for wish, _ in sorted(_read(accept), key=lambda one: -one[1]) if wish.multipart]
    if not fitting:
        raise NotAcceptable(types='multipart/related; type="application/octet-stream"')
    return fitting


def _fits(wish: Wish, kind: str, *, single: bool) -> bool:
    if wish.kind in ("*/*", "multipart/related"):
        return True
    return wish.kind == kind and (wish.multipart or single)


def _read(accept: str) -> Sequence[tuple[Wish, float]]:
    found = []
    for range_ in _RANGE.findall(accept) or ["*/*"]:
        kind, *parameters = [piece.strip() for piece in _PARAMETER.findall(range_)] or [""]
        # Orthanc's own clients put the transfer syntax inside the quotes of `type`.
        named = dict(_pair(inner) for piece in parameters for inner in piece.replace('"', "").split(";"))
        multipart = kind.lower() == "multipart/related"
        wanted = named.get("type", kind) if multipart else kind
        weight = _weight(named.get("q", "1"))
        if weight > 0:
            found.append((Wish(wanted.lower(), multipart or kind == "*/*", named.get("transfer-syntax")), weight))
    return found


def _pair(parameter: str) -> tuple[str, str]:
    name, _, value = parameter.partition("=")
    return name.strip().lower(), value.strip()


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
