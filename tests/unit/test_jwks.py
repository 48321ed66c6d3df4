"""What a JWKS may say: which of its keys verify tokens, and within which limits it is read."""

import asyncio
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from shared.errors import Unauthenticated
from shared.jwks import NoKeys, read_jwks, usable_keys
from shared.settings import TokenSettings
from shared.tokens import TokenVerifier
from tests.unit.keys import AUDIENCE, ED, ISSUER, OTHER_RSA, PUBLIC, RSA, token

GOOD = {**PUBLIC["rsa"], "kid": "rsa"}
WEAK = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
P384 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)


def settings(jwks: object, **more: Any) -> TokenSettings:
    return TokenSettings(**{"jwks": str(jwks), "issuer": ISSUER, "audience": AUDIENCE, **more})


@pytest.mark.parametrize(
    ("jwk", "algorithm"),
    [
        ({**PUBLIC["rsa"]}, "RS256"),
        ({**PUBLIC["rsa"], "alg": "RS256", "use": "sig", "key_ops": ["verify"], "x5t": "abc", "x5c": ["MII"]}, "RS256"),
        ({**PUBLIC["ec"]}, "ES256"),
        ({**PUBLIC["ec"], "alg": "ES256"}, "ES256"),
        ({**PUBLIC["ed"], "alg": "EdDSA"}, "EdDSA"),
    ],
)
def test_a_key_that_verifies(jwk: dict[str, Any], algorithm: str) -> None:
    [key] = usable_keys({"keys": [{**jwk, "kid": "k"}]}).values()
    assert (key.kid, key.algorithm) == ("k", algorithm)


@pytest.mark.parametrize(
    "jwk",
    [
        {**GOOD, "kid": None},
        {**GOOD, "kid": ""},
        {**GOOD, "kid": 5},
        {**PUBLIC["rsa"], "key_ops": ["verify"]} | {"kid": ["rsa"]},
        {**GOOD, "use": "enc"},
        {**GOOD, "use": "SIG"},
        {**GOOD, "key_ops": ["encrypt", "wrapKey"]},
        {**GOOD, "key_ops": []},
        {**GOOD, "key_ops": "verify"},
        {**GOOD, "alg": "RS512"},
        {**GOOD, "alg": "PS256"},
        {**GOOD, "alg": "RSA-OAEP"},
        {**GOOD, "alg": "HS256"},
        {**GOOD, "alg": "none"},
        {**GOOD, "alg": None},
        {**GOOD, "alg": ["RS256"]},
        {**GOOD, "kty": "EC"},
        {**GOOD, "kty": None},
        {**GOOD, "n": "!"},
        {**GOOD, "n": 5},
        {**GOOD, "e": "AA"},
        {"kty": "RSA", "kid": "rsa"},
        {**WEAK, "kid": "weak"},
        {**P384, "kid": "p384"},
        {**PUBLIC["ec"], "kid": "ec", "crv": "P-521"},
        {**PUBLIC["ec"], "kid": "ec", "x": PUBLIC["ec"]["y"]},
        {**PUBLIC["ec"], "kid": "ec", "alg": "ES384"},
        {**PUBLIC["ed"], "kid": "ed", "crv": "Ed448"},
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "shared"},
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "shared", "alg": "RS256"},
        {**RSAAlgorithm.to_jwk(RSA, as_dict=True), "kid": "private", "key_ops": ["verify"]},
        {"kty": "unheard of", "kid": "x"},
        {},
    ],
)
def test_a_key_that_is_left_out_and_spoils_no_other(jwk: dict[str, Any]) -> None:
    assert usable_keys({"keys": [jwk]}) == {}
    others = usable_keys({"keys": [jwk, 5, None, "x", [], {**PUBLIC["other"], "kid": "other"}]})
    assert list(others) == ["other"]


def test_two_keys_of_one_name_are_none() -> None:
    jwks = [GOOD, {**PUBLIC["other"], "kid": "rsa"}, {**PUBLIC["ec"], "kid": "ec"}]
    assert list(usable_keys({"keys": jwks})) == ["ec"]
    assert list(usable_keys({"keys": [*jwks, GOOD]})) == ["ec"]


def test_a_key_that_is_listed_twice_is_one() -> None:
    assert list(usable_keys({"keys": [GOOD, {**GOOD, "use": "sig", "alg": "RS256"}]})) == ["rsa"]


def test_the_same_name_for_another_use_is_no_doubt() -> None:
    assert list(usable_keys({"keys": [{**PUBLIC["other"], "kid": "rsa", "use": "enc"}, GOOD]})) == ["rsa"]


@pytest.mark.parametrize("jwks", [None, 5, "keys", [], [GOOD], {}, {"keys": None}, {"keys": {"rsa": GOOD}}, GOOD])
def test_what_is_no_jwks(jwks: object) -> None:
    with pytest.raises(NoKeys, match="no JWKS") as garbage:
        usable_keys(jwks)
    assert garbage.value.outcome == "garbage"


async def test_a_token_by_a_key_that_is_left_out(tmp_path: Path) -> None:
    """The token itself is sound: only what the JWKS says of the key stands in its way."""
    path = tmp_path / "jwks.json"
    keys = [GOOD, {**PUBLIC["other"], "kid": "enc", "use": "enc"}, {**PUBLIC["ed"], "kid": "ed", "key_ops": ["sign"]}]
    path.write_text(json.dumps({"keys": keys}))
    verifier = TokenVerifier(settings(path))
    assert (await verifier.verify(token())).sub == "alice"
    for bad in (token(OTHER_RSA, kid="enc"), token(ED, "EdDSA", "ed")):
        with pytest.raises(Unauthenticated, match="unknown key"):
            await verifier.verify(bad)


async def test_a_file_up_to_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    text = json.dumps({"keys": [GOOD]})
    path.write_text(text)
    assert await read_jwks(settings(path, largest_jwks=len(text))) == {"keys": [GOOD]}
    with pytest.raises(NoKeys) as refused:
        await read_jwks(settings(path, largest_jwks=len(text) - 1))
    assert refused.value.outcome == "too-large"


async def test_a_file_without_an_end_is_not_read_to_its_end() -> None:
    tracemalloc.start()
    with pytest.raises(NoKeys) as refused:
        await read_jwks(settings("/dev/zero"))
    _, held = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (refused.value.outcome, held < 2 * 1024 * 1024) == ("too-large", True)


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"keys":' * 20_000,
        "9" * 5000,
        "NaN,",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
async def test_json_that_would_break_a_parser(tmp_path: Path, content: str) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(NoKeys) as refused:
        await read_jwks(settings(path))
    assert refused.value.outcome == "garbage"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/jwks.json", "https://127.0.0.1:1/jwks.json", "http://", "http://[::1", "https://\x7f/"]
)
async def test_a_url_that_nobody_answers(url: str) -> None:
    with pytest.raises(NoKeys) as refused:
        await asyncio.wait_for(read_jwks(settings(url)), 15)
    assert refused.value.outcome == "away"
