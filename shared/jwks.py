"""What a JWKS (RFC 7517) is: where it is read from, within which limits, and which of its keys verify tokens."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shared.settings import TokenSettings

# By the key's type and curve, never by the token's header: no HS/RS confusion, and no algorithm that nobody asked for.
ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
RSA_BITS = range(2048, 8192 + 1)  # shorter can be broken (RFC 7518, 3.3); longer only costs time
_PRIVATE = {"d", "k"}  # RFC 7518, 6: who publishes these has given the key away
_MATERIAL = ("kty", "crv", "n", "e", "x", "y")


class NoKeys(Exception):
    """The keys could not be read; `outcome` is the word for the metric, the message says why."""

    def __init__(self, outcome: str, why: str) -> None:
        self.outcome = outcome
        super().__init__(why)


@dataclass(frozen=True)
class Key:
    """A public key that verifies tokens by one algorithm. Two are equal if they are the same key under one name."""

    kid: str
    algorithm: str
    material: tuple[str | None, ...]
    public: jwt.PyJWK = field(compare=False, repr=False)


def usable_keys(jwks: object) -> dict[str, Key]:
    """The keys that verify tokens, by `kid`; what cannot be used is left out. Raises NoKeys for what is no JWKS.

    Where two different keys go by one name neither is believed: a token names its key by `kid` alone.
    """
    listed = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(listed, list):
        raise NoKeys("garbage", "the answer is no JWKS")
    found: dict[str, Key] = {}
    doubtful: set[str] = set()
    for key in (_usable(jwk) for jwk in listed if isinstance(jwk, dict)):
        if key is not None and found.setdefault(key.kid, key) != key:
            doubtful.add(key.kid)
    return {kid: key for kid, key in found.items() if kid not in doubtful}


def _usable(jwk: Mapping[str, Any]) -> Key | None:
    kid, kty, crv = jwk.get("kid"), jwk.get("kty"), jwk.get("crv")
    if not (isinstance(kid, str) and kid and isinstance(kty, str) and isinstance(crv, str | None)):
        return None
    algorithm = ALGORITHMS.get((kty, crv))
    if algorithm is None or jwk.get("alg", algorithm) != algorithm or not _is_for_verifying(jwk):
        return None
    try:
        public = jwt.PyJWK(dict(jwk), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, LookupError, AttributeError):
        return None
    if isinstance(public.key, RSAPublicKey) and public.key.key_size not in RSA_BITS:
        return None
    return Key(kid, algorithm, tuple(jwk.get(name) for name in _MATERIAL), public)


def _is_for_verifying(jwk: Mapping[str, Any]) -> bool:
    """RFC 7517, 4.2 and 4.3: both may be missing; what stands there counts."""
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return False
    return not _PRIVATE & jwk.keys()


async def read_jwks(settings: TokenSettings) -> object:
    """The JSON behind the URL or path, within its time and size. Raises NoKeys."""
    try:
        async with asyncio.timeout(settings.read_seconds):
            remote = settings.jwks.startswith(("http://", "https://"))
            content = await (_fetched(settings) if remote else asyncio.to_thread(_from_file, settings))
    except TimeoutError:
        raise NoKeys("away", f"no answer within {settings.read_seconds:g} s") from None
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoKeys("away", type(error).__name__) from None
    if len(content) > settings.largest_jwks:
        raise NoKeys("too-large", f"more than {settings.largest_jwks} bytes")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise NoKeys("garbage", "the answer is no JSON") from None


def _from_file(settings: TokenSettings) -> bytes:
    with Path(settings.jwks).open("rb") as file:
        return file.read(settings.largest_jwks + 1)


async def _fetched(settings: TokenSettings) -> bytes:
    """The body, or as much of it as shows that it is too large. Redirects are not followed: keys come from here."""
    content = b""
    async with _client(settings) as client, client.stream("GET", settings.jwks) as answer:
        packed = answer.headers.get("content-encoding", "identity")
        if answer.status_code != 200 or packed != "identity":  # what is unpacked would have no limit
            raise NoKeys("refused", f"HTTP {answer.status_code}, content encoding {packed[:20]!r}")
        async for piece in answer.aiter_raw():
            content += piece
            if len(content) > settings.largest_jwks:
                break
    return content


def _client(settings: TokenSettings) -> httpx.AsyncClient:
    """The client for the JWKS alone; read_jwks bounds the whole reading."""
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    return httpx.AsyncClient(
        follow_redirects=False,
        timeout=settings.read_seconds,
        headers=headers,
        verify=settings.tls(),
    )
