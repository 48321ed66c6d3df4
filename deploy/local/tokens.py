"""Signing key, JWKS file and bearer tokens of a local system."""

import base64
import json
import time
from collections.abc import Sequence
from hashlib import sha256

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from deploy.local.files import write_private
from deploy.local.layout import Layout
from deploy.local.services import AUDIENCE, ISSUER

LIFETIME = 8 * 3600


def make_keys(layout: Layout) -> None:
    """Make the key pair and the JWKS file, unless they are there."""
    if not layout.signing_key.exists():
        key = generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(layout.signing_key, pem.decode())
    jwk = _public_jwk(_load_key(layout))
    write_private(layout.jwks, json.dumps({"keys": [jwk]}, indent=2) + "\n")


def mint(layout: Layout, sub: str, scope: str = "", groups: Sequence[str] = (), lifetime: int = LIFETIME) -> str:
    """One token, signed with the system's key; ``lifetime`` in seconds (a negative one has expired)."""
    make_keys(layout)
    key = _load_key(layout)
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": sub,
        "scope": scope,
        "groups": list(groups),
        "iat": now,
        "exp": now + lifetime,
    }
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": _public_jwk(key)["kid"]})


def _load_key(layout: Layout) -> RSAPrivateKey:
    key = serialization.load_pem_private_key(layout.signing_key.read_bytes(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError(f"{layout.signing_key} is not an RSA key")
    return key


def _public_jwk(key: RSAPrivateKey) -> dict[str, str]:
    numbers = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    public = {name: str(numbers[name]) for name in ("e", "kty", "n")}
    # RFC 7638: the thumbprint of exactly these members, in this order, without blanks.
    digest = sha256(json.dumps(public, separators=(",", ":"), sort_keys=True).encode()).digest()
    return public | {"kid": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), "use": "sig", "alg": "RS256"}
