"""Which representation a request wants (RFC 9110, 12.5.1): the best that it accepts of those there are."""

from collections.abc import Sequence

from services.preview_service.errors import NotAcceptable

JPEG, PNG, DICOM = "image/jpeg", "image/png", "application/dicom"


def best(accept: str, offered: Sequence[str]) -> str:
    """The offered type with the highest weight, the first among equals. Raises NotAcceptable where none has any."""
    ranges = [_range(part) for part in accept.split(",") if part.strip()] or [("*/*", 1.0)]
    weights = {kind: _weight(kind, ranges) for kind in offered}
    chosen = max(offered, key=lambda kind: weights[kind])
    if weights[chosen] <= 0:
        raise NotAcceptable(types=", ".join(offered))
    return chosen


def wants_picture(accept: str) -> bool:
    """Whether a request that could have the DICOM file asks for a picture: it names images, and not DICOM."""
    named = {kind for kind, weight in map(_range, accept.split(",")) if weight > 0}
    return bool(named & {JPEG, PNG, "image/*"}) and DICOM not in named


def _range(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
    try:
        return kind, min(max(float(weight), 0.0), 1.0)
    except ValueError:
        return kind, 0.0


def _weight(kind: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The weight of the most specific range that fits."""
    for fitting in (kind, f"{kind.split('/', maxsplit=1)[0]}/*", "*/*"):
        weights = [weight for named, weight in ranges if named == fitting]
        if weights:
            return max(weights)
    return 0.0
