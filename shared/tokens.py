"""Bearer tokens (JWT, RFC 7519): signature, issuer, audience and expiry checked with keys from a JWKS by `kid`."""

import asyncio
import hashlib
import json
import time
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Any

import httpx
import jwt
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.errors import KeysAway, ScopeMissing, Unauthenticated
from shared.permission import Caller
from shared.settings import TokenSettings

ALGORITHMS = {"RSA": ["RS256"], "EC": ["ES256"], "OKP": ["EdDSA"]}  # by the key's type: no HS/RS confusion
LONGEST_TOKEN = 8192


class TokenVerifier:
    """Verifies tokens; keys are read on first use and again when a token names an unknown one."""

    def __init__(self, settings: TokenSettings) -> None:
        self._settings = settings
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = float("-inf")
        self._verified: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()

    async def verify(self, token: str) -> Caller:
        """The caller that the token names. Raises Unauthenticated, or KeysAway where there never was a key."""
        if len(token) > LONGEST_TOKEN:
            raise _refused("The token is too long.", "Le jeton est trop long.")
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known and known[0] > time.time():
            return known[1]
        claims = await self._claims(token)
        caller = self._caller(claims)
        self._verified[digest] = (float(claims["exp"]), caller)
        if len(self._verified) > self._settings.remembered:
            self._verified.popitem(last=False)
        return caller

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            key = await self._key(str(header.get("kid", "")))
            return jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS.get(key.key_type or "", []),
                issuer=self._settings.issuer,
                audience=self._settings.audience,
                leeway=self._settings.leeway_seconds,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise _refused("The token has expired.", "Le jeton a expiré.") from None
        except jwt.PyJWTError:
            raise _refused("The token is not valid.", "Le jeton n'est pas valide.") from None

    async def _key(self, kid: str) -> jwt.PyJWK:
        if kid not in self._keys and time.monotonic() - self._read_at > self._settings.refresh_seconds:
            await self._read_keys()
        if not self._keys:
            raise KeysAway
        if kid not in self._keys:
            raise _refused("The token names an unknown key.", "Le jeton désigne une clé inconnue.")
        return self._keys[kid]

    async def _read_keys(self) -> None:
        try:
            keys = jwt.PyJWKSet.from_dict(await self._jwks()).keys
        except (OSError, ValueError, TypeError, AttributeError, httpx.HTTPError, jwt.PyJWTError):
            if not self._keys:
                raise KeysAway from None
            self._read_at = time.monotonic()
            return  # those known stay good
        self._read_at = time.monotonic()
        self._keys = {str(key.key_id): key for key in keys if key.key_id}

    async def _jwks(self) -> dict[str, Any]:
        where = self._settings.jwks
        if not where.startswith(("http://", "https://")):
            return dict(json.loads(await asyncio.to_thread(Path(where).read_text)))
        async with httpx.AsyncClient(timeout=5.0, verify=self._settings.tls()) as client:
            answer = await client.get(where)
            answer.raise_for_status()
            return dict(answer.json())

    def _caller(self, claims: dict[str, Any]) -> Caller:
        scopes = claims.get(self._settings.scope_claim, "")
        groups = claims.get(self._settings.groups_claim, [])
        if not isinstance(scopes, str) or not isinstance(groups, list):
            raise _refused("The token's scopes or groups have the wrong form.", "Droits ou groupes mal formés.")
        return Caller(str(claims["sub"]), frozenset(scopes.split()), tuple(str(group) for group in groups))


def _refused(why_en: str, why_fr: str) -> Unauthenticated:
    return Unauthenticated(why_en=why_en, why_fr=why_fr)


_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT")


async def authenticated(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    """The caller of this request; 401 without a valid token."""
    if credentials is None:
        raise _refused("There is no bearer token.", "Il n'y a pas de jeton.")
    verifier: TokenVerifier = request.app.state.tokens
    return await verifier.verify(credentials.credentials)


class Scoped:
    """A dependency: the caller of this request, who must have one of the scopes; 403 without any."""

    def __init__(self, *scopes: str) -> None:
        self._scopes = scopes

    async def __call__(self, caller: Annotated[Caller, Depends(authenticated)]) -> Caller:
        """The caller, if a scope fits."""
        if not any(caller.has(scope) for scope in self._scopes):
            raise ScopeMissing(scope="' or '".join(self._scopes))
        return caller


def require(caller: Caller, scope: str) -> None:
    """Raise ScopeMissing unless the caller has the scope."""
    if not caller.has(scope):
        raise ScopeMissing(scope=scope)
