"""Bearer tokens (JWT, RFC 7519 and 8725): what one must be to be believed, and who it is that brings it."""

import hashlib
import time
from collections import OrderedDict
from typing import Any, NamedTuple

import jwt
from fastapi import Request
from fastapi.security import HTTPBearer
from fastapi.security.base import SecurityBase
from prometheus_client import Gauge

from shared.errors import ScopeMissing
from shared.jwks import Key
from shared.keys import Keys
from shared.permission import Caller
from shared.settings import TokenSettings
from shared.texts import is_name
from shared.token_refusals import reason_of, refused

# Keys that the token brings along, and extensions that must be understood (RFC 7515, 4.1): none are.
_FORBIDDEN_HEADERS = {"jku", "jwk", "x5u", "x5c", "crit", "b64"}
REMEMBERED = Gauge("examflow_tokens_remembered", "Verified tokens that are kept until they expire")


class _Verified(NamedTuple):
    until: float
    key: Key
    caller: Caller


class TokenVerifier:
    """Says whom a token names. A verified one is remembered by its hash while it and its key are good."""

    def __init__(self, settings: TokenSettings) -> None:
        self._settings = settings
        self.keys = Keys(settings)
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    async def verify(self, token: str) -> Caller:
        """The caller that the token names. Raises Unauthenticated, or KeysAway where no key can be had."""
        if len(token) > self._settings.longest:
            raise refused("too-long")
        if not token.isascii():
            raise refused("malformed")
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known and known.until > time.time() and self.keys.believes(known.key):
            return known.caller
        self._verified.pop(digest, None)
        verified = await self._verify(token)
        self._verified[digest] = verified
        if len(self._verified) > self._settings.remembered:
            self._verified.popitem(last=False)
        REMEMBERED.set(len(self._verified))
        return verified.caller

    async def _verify(self, token: str) -> _Verified:
        try:
            key = await self._key_of(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],
                issuer=self._settings.issuer,
                audience=self._settings.audience,
                leeway=self._settings.leeway_seconds,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            return _Verified(float(claims["exp"]), key, self._caller(claims))
        except jwt.PyJWTError as error:
            raise refused(reason_of(error)) from None
        except (ValueError, OverflowError):  # a moment that no clock will ever show
            raise refused("claims") from None

    async def _key_of(self, header: dict[str, Any]) -> Key:
        if _FORBIDDEN_HEADERS & header.keys():
            raise refused("header")
        kid = header.get("kid")
        if not isinstance(kid, str) or not kid:
            raise refused("key-unnamed")
        key = await self.keys.named(kid)
        if key is None:
            raise refused("key-unknown")
        return key

    def _caller(self, claims: dict[str, Any]) -> Caller:
        """Subject and groups become principals, records and log lines: they must be names (shared/texts.py)."""
        scopes = claims.get(self._settings.scope_claim, "")
        groups = claims.get(self._settings.groups_claim, [])
        if not isinstance(scopes, str) or not isinstance(groups, list) or not all(map(is_name, groups)):
            raise refused("rights")
        if not is_name(claims["sub"]):
            raise refused("claims")
        return Caller(claims["sub"], frozenset(scopes.split()), tuple(groups))


_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT")


async def authenticated(request: Request) -> Caller:
    """The caller of this request; 401 without a valid token."""
    credentials = await _bearer(request)
    if credentials is None:
        raise refused("missing")
    verifier: TokenVerifier = request.app.state.tokens
    caller = await verifier.verify(credentials.credentials)
    request.state.caller = caller  # for the record of what is refused after this
    return caller


class Scoped(SecurityBase):
    """A dependency: the caller of this request, who must have one of the scopes; 403 without any.

    It is its routes' security scheme itself: scheme, token and scope as three dependencies of one another would make
    a view dearer by a twelfth.
    """

    model, scheme_name = _bearer.model, _bearer.scheme_name

    def __init__(self, *scopes: str) -> None:
        self._scopes = scopes

    async def __call__(self, request: Request) -> Caller:
        """The caller, if a scope fits."""
        return self.admitted(await authenticated(request))

    def admitted(self, caller: Caller) -> Caller:
        """The same caller, if a scope fits."""
        if not any(caller.has(scope) for scope in self._scopes):
            raise ScopeMissing(scope="' or '".join(self._scopes), ask_for=self._scopes[0])
        return caller


def require(caller: Caller, scope: str) -> None:
    """Raise ScopeMissing unless the caller has the scope."""
    if not caller.has(scope):
        raise ScopeMissing(scope=scope, ask_for=scope)
