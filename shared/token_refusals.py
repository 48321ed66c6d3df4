"""Why a token is not believed: the word for the metric, and what its bearer is told."""

import jwt
from prometheus_client import Counter

from shared.errors import Unauthenticated

REFUSED = Counter("examflow_tokens_refused", "Tokens that were not believed, by reason", ["reason"])

_NOT_VALID = "The token is not valid.", "Le jeton n'est pas valide."
# What is told (English, French) for a reason; all others in the same words, so that a forger learns nothing.
_TOLD = {
    "missing": ("There is no bearer token.", "Il n'y a pas de jeton."),
    "too-long": ("The token is too long.", "Le jeton est trop long."),
    "key-unnamed": ("The token names no key.", "Le jeton ne désigne aucune clé."),
    "key-unknown": ("The token names an unknown key.", "Le jeton désigne une clé inconnue."),
    "expired": ("The token has expired.", "Le jeton a expiré."),
    "rights": ("The token's scopes or groups have the wrong form.", "Droits ou groupes mal formés."),
}
# The first that fits.
_REASONS: list[tuple[type[jwt.PyJWTError], str]] = [
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "not-yet"),
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.InvalidAlgorithmError, "algorithm"),
    (jwt.InvalidSignatureError, "signature"),
    (jwt.DecodeError, "malformed"),
    (jwt.PyJWTError, "claims"),
]


def reason_of(error: jwt.PyJWTError) -> str:
    """The word for what the library found."""
    return next(reason for kind, reason in _REASONS if isinstance(error, kind))


def refused(reason: str) -> Unauthenticated:
    """The refusal for a reason, which is counted. A token that is not believed is called so (RFC 6750, 3.1)."""
    REFUSED.labels(reason).inc()
    why_en, why_fr = _TOLD.get(reason, _NOT_VALID)
    challenge = "Bearer" if reason == "missing" else 'Bearer error="invalid_token"'
    return Unauthenticated(why_en=why_en, why_fr=why_fr, challenge=challenge)
