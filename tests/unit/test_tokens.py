"""Bearer tokens: whom they name, and every way in which one is not to be believed."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from shared.errors import Problem, ScopeMissing, Unauthenticated
from shared.permission import Caller
from shared.settings import TokenSettings
from shared.tokens import Scoped, TokenVerifier, require
from tests.unit.keys import AUDIENCE, EC, ED, ISSUER, OTHER_RSA, RSA, token, write_keys

ALICE = Caller("alice", frozenset({"images:read", "dicom:upload"}), ("radiology", "ward 3"))


@pytest.fixture
def verifier(tmp_path: Path) -> TokenVerifier:
    write_keys(tmp_path / "jwks.json", "rsa", "ec", "ed")
    return TokenVerifier(TokenSettings(jwks=str(tmp_path / "jwks.json"), issuer=ISSUER, audience=AUDIENCE))


async def refusal(verifier: TokenVerifier, bad: str) -> str:
    with pytest.raises(Problem) as refused:
        await verifier.verify(bad)
    assert type(refused.value) is Unauthenticated
    assert refused.value.sentence("fr").endswith("Envoyez un jeton valide : « Authorization: Bearer ... ».")
    return refused.value.sentence("en")


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA, "RS256", "rsa"), (EC, "ES256", "ec"), (ED, "EdDSA", "ed")])
async def test_a_good_token_names_its_caller(verifier: TokenVerifier, key: Any, algorithm: str, kid: str) -> None:
    assert await verifier.verify(token(key, algorithm, kid)) == ALICE


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"scope": ""}, Caller("alice", frozenset(), ("radiology", "ward 3"))),
        ({"scope": None, "groups": None}, Caller("alice")),
        ({"scope": "  ops   ops ", "groups": []}, Caller("alice", frozenset({"ops"}))),
        ({"groups": ["a", 5]}, Caller("alice", ALICE.scopes, ("a", "5"))),
        ({"aud": ["another", AUDIENCE]}, ALICE),
    ],
)
async def test_what_else_a_good_token_may_say(
    verifier: TokenVerifier, claims: dict[str, Any], expected: Caller
) -> None:
    assert await verifier.verify(token(**claims)) == expected


async def test_clocks_may_differ_by_the_leeway(verifier: TokenVerifier) -> None:
    now = int(time.time())
    assert await verifier.verify(token(exp=now - 10)) == ALICE
    assert await verifier.verify(token(nbf=now + 10, iat=now + 10)) == ALICE


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": int(time.time()) - 3600}, "The token has expired."),
        ({"exp": None}, "The token is not valid."),
        ({"exp": "soon"}, "The token is not valid."),
        ({"iss": "https://another.test"}, "The token is not valid."),
        ({"iss": None}, "The token is not valid."),
        ({"aud": "another"}, "The token is not valid."),
        ({"aud": []}, "The token is not valid."),
        ({"aud": None}, "The token is not valid."),
        ({"sub": None}, "The token is not valid."),
        ({"sub": 5}, "The token is not valid."),
        ({"nbf": int(time.time()) + 3600}, "The token is not valid."),
        ({"scope": ["images:read"]}, "The token's scopes or groups have the wrong form."),
        ({"scope": 5}, "The token's scopes or groups have the wrong form."),
        ({"groups": "radiology"}, "The token's scopes or groups have the wrong form."),
        ({"groups": {"radiology": True}}, "The token's scopes or groups have the wrong form."),
    ],
)
async def test_claims_that_do_not_hold(verifier: TokenVerifier, claims: dict[str, Any], words: str) -> None:
    assert words in await refusal(verifier, token(**claims))


async def test_another_issuers_key_under_a_known_kid(verifier: TokenVerifier) -> None:
    assert "not valid" in await refusal(verifier, token(OTHER_RSA))


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(RSA, "RS512", "rsa"), (RSA, "PS256", "rsa"), (RSA, "RS256", "ec"), (EC, "ES256", "rsa"), (ED, "EdDSA", "rsa")],
)
async def test_an_algorithm_that_is_not_the_keys(verifier: TokenVerifier, key: Any, algorithm: str, kid: str) -> None:
    assert "not valid" in await refusal(verifier, token(key, algorithm, kid))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
async def test_no_signature(verifier: TokenVerifier, algorithm: str) -> None:
    header, payload, _ = token().split(".")
    forged = _encoded({"alg": algorithm, "typ": "JWT", "kid": "rsa"})
    assert "not valid" in await refusal(verifier, f"{forged}.{payload}.")
    assert "not valid" in await refusal(verifier, f"{header}.{payload}.")


@pytest.mark.parametrize("form", [serialization.Encoding.PEM, serialization.Encoding.DER])
async def test_the_public_key_is_no_shared_secret(verifier: TokenVerifier, form: serialization.Encoding) -> None:
    secret = RSA.public_key().public_bytes(form, serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = _encoded({"alg": "HS256", "kid": "rsa"}) + "." + token().split(".")[1]
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    forged = f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert "not valid" in await refusal(verifier, forged)


async def test_a_changed_payload(verifier: TokenVerifier) -> None:
    header, payload, signature = token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = _encoded({**claims, "scope": "exams:all"})
    assert "not valid" in await refusal(verifier, f"{header}.{forged}.{signature}")


@pytest.mark.parametrize("kid", ["unknown", None, "", "../rsa"])
async def test_a_key_that_is_not_known(verifier: TokenVerifier, kid: str | None) -> None:
    assert "unknown key" in await refusal(verifier, token(kid=kid))


@pytest.mark.parametrize(
    "header",
    [{"alg": "RS256", "kid": 5}, {"alg": "RS256", "kid": {}}, {"kid": "rsa"}, {"alg": 5, "kid": "rsa"}, [], "x"],
)
async def test_a_strange_header(verifier: TokenVerifier, header: Any) -> None:
    _, payload, signature = token().split(".")
    await refusal(verifier, f"{_encoded(header)}.{payload}.{signature}")


@pytest.mark.parametrize(
    "garbage",
    ["", ".", "..", "...", "a.b.c", "é.è.à", "\xff" * 10, "null", token()[:-1], token() + "x", "x" + token(), "=.=.="],
)
async def test_garbage(verifier: TokenVerifier, garbage: str) -> None:
    await refusal(verifier, garbage)


async def test_an_oversized_token_is_not_looked_at(verifier: TokenVerifier) -> None:
    assert "too long" in await refusal(verifier, token(padding="x" * 8192))
    assert "too long" in await refusal(verifier, "x" * 8193)
    assert "not valid" in await refusal(verifier, "x" * 8192)
    assert (await verifier.verify(token(padding="x" * 5000))).sub == "alice"


async def test_scopes() -> None:
    either = Scoped("ops", "images:read")
    assert await either(ALICE) is ALICE
    with pytest.raises(ScopeMissing, match="lacks the scope 'ops' or 'images:write'"):
        await Scoped("ops", "images:write")(ALICE)
    require(ALICE, "images:read")
    with pytest.raises(ScopeMissing, match="lacks the scope 'images:'"):
        require(ALICE, "images:")


def _encoded(said: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
