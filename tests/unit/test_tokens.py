"""Bearer tokens: whom they name, and every way in which one is not to be believed."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from prometheus_client import REGISTRY

from shared.errors import Problem, ScopeMissing, Unauthenticated
from shared.permission import Caller
from shared.settings import TokenSettings
from shared.tokens import Scoped, TokenVerifier, require
from tests.unit.keys import AUDIENCE, EC, ED, ISSUER, OTHER_RSA, PUBLIC, RSA, token, write_keys

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
        ({"groups": ["a", "Équipe 3"]}, Caller("alice", ALICE.scopes, ("a", "Équipe 3"))),
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
        ({"sub": ""}, "The token is not valid."),
        ({"sub": "a" * 256}, "The token is not valid."),
        ({"sub": "alice\n"}, "The token is not valid."),
        ({"sub": "ali\u202ece"}, "The token is not valid."),
        ({"sub": "ali\u200bce"}, "The token is not valid."),
        ({"exp": True}, "The token has expired."),
        ({"exp": float("inf")}, "The token is not valid."),
        ({"exp": float("nan")}, "The token is not valid."),
        ({"exp": 10**400}, "The token is not valid."),
        ({"exp": int(time.time()) - 61}, "The token has expired."),
        ({"nbf": int(time.time()) + 8 * 3600}, "The token is not valid."),
        ({"scope": ["images:read"]}, "The token's scopes or groups have the wrong form."),
        ({"scope": 5}, "The token's scopes or groups have the wrong form."),
        ({"groups": "radiology"}, "The token's scopes or groups have the wrong form."),
        ({"groups": {"radiology": True}}, "The token's scopes or groups have the wrong form."),
        ({"groups": ["a", 5]}, "The token's scopes or groups have the wrong form."),
        ({"groups": [["radiology"]]}, "The token's scopes or groups have the wrong form."),
        ({"groups": [""]}, "The token's scopes or groups have the wrong form."),
        ({"groups": ["ward\u001b[2J"]}, "The token's scopes or groups have the wrong form."),
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


@pytest.mark.parametrize("kid", ["unknown", "../rsa", "RSA", "rsa "])
async def test_a_key_that_is_not_known(verifier: TokenVerifier, kid: str) -> None:
    assert "unknown key" in await refusal(verifier, token(kid=kid))


@pytest.mark.parametrize("kid", [None, ""])
async def test_a_token_that_names_no_key(verifier: TokenVerifier, kid: str | None) -> None:
    assert "names no key" in await refusal(verifier, token(kid=kid))


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://evil.test/jwks.json"},
        {"jwk": {**PUBLIC["other"], "kid": "rsa"}},
        {"x5u": "https://evil.test/chain.pem"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"b64": True},
        {"b64": False, "crit": ["b64"]},
    ],
    ids=lambda header: next(iter(header)),
)
async def test_a_token_that_brings_its_own_rules(verifier: TokenVerifier, header: dict[str, Any]) -> None:
    """Signed well, by our key or by the one that comes with it."""
    _, payload, _ = token().split(".")
    for key in (RSA, OTHER_RSA):
        signed = _encoded({"alg": "RS256", "typ": "JWT", "kid": "rsa", **header}) + "." + payload
        signature = base64.urlsafe_b64encode(key.sign(signed.encode(), PKCS1v15(), SHA256())).decode().rstrip("=")
        assert "not valid" in await refusal(verifier, f"{signed}.{signature}")


async def test_headers_that_say_nothing_about_keys_are_ignored(verifier: TokenVerifier) -> None:
    """Microsoft's tokens carry x5t, those of others their own."""
    claims = jwt.decode(token(), options={"verify_signature": False})
    said = {"kid": "rsa", "x5t": "abc", "typ": "at+jwt", "nonce": "n"}
    assert await verifier.verify(jwt.encode(claims, RSA, "RS256", said)) == ALICE


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


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("x" * 8193, "too-long"),
        ("é.è.à", "malformed"),
        ("a.b.c", "malformed"),
        (token(kid=None), "key-unnamed"),
        (token(kid="unknown"), "key-unknown"),
        (token(OTHER_RSA), "signature"),
        (token(RSA, "RS512"), "algorithm"),
        (token(exp=1), "expired"),
        (token(nbf=int(time.time()) + 8 * 3600), "not-yet"),
        (token(iss="https://another.test"), "issuer"),
        (token(aud="another"), "audience"),
        (token(sub=None), "claims"),
        (token(exp=10**400), "claims"),
        (token(scope=5), "rights"),
    ],
)
async def test_refusals_are_counted_by_reason(verifier: TokenVerifier, bad: str, reason: str) -> None:
    before = REGISTRY.get_sample_value("examflow_tokens_refused_total", {"reason": reason}) or 0
    await refusal(verifier, bad)
    assert REGISTRY.get_sample_value("examflow_tokens_refused_total", {"reason": reason}) == before + 1


async def test_no_part_of_a_token_is_logged(verifier: TokenVerifier, capsys: pytest.CaptureFixture[str]) -> None:
    bad = token(sub="mallory-sub", iss="mallory-iss", kid="mallory-kid")
    await refusal(verifier, bad)
    await refusal(verifier, token(sub="mallory-sub", iss="mallory-iss"))
    said = capsys.readouterr()
    assert not [part for part in ("mallory", *bad.split(".")) if part in said.out + said.err]


def test_scopes() -> None:
    assert Scoped("ops", "images:read").admitted(ALICE) is ALICE
    with pytest.raises(ScopeMissing, match="lacks the scope 'ops' or 'images:write'"):
        Scoped("ops", "images:write").admitted(ALICE)
    require(ALICE, "images:read")
    with pytest.raises(ScopeMissing, match="lacks the scope 'images:'"):
        require(ALICE, "images:")


def _encoded(said: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
