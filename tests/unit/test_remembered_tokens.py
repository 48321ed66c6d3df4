"""What is remembered of verified tokens, for how long, and of how many."""

import time
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from shared.errors import Unauthenticated
from shared.settings import TokenSettings
from shared.tokens import TokenVerifier
from tests.unit.keys import AUDIENCE, ISSUER, token, write_keys


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    write_keys(path, "rsa")
    return path


def verifier_of(jwks: Path, remembered: int = 100) -> TokenVerifier:
    return TokenVerifier(TokenSettings(jwks=str(jwks), issuer=ISSUER, audience=AUDIENCE, remembered=remembered))


async def test_a_token_is_remembered_until_it_expires(jwks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier, good = verifier_of(jwks), token(exp=int(time.time()) + 300)
    first = await verifier.verify(good)
    assert await verifier.verify(good) is first
    in_a_while = time.time() + 301
    monkeypatch.setattr("shared.tokens.time.time", lambda: in_a_while)
    assert await verifier.verify(good) is not first  # looked at anew; the library's own clock still finds it good


async def test_only_so_many_tokens_are_remembered(jwks: Path) -> None:
    verifier = verifier_of(jwks, remembered=3)
    tokens = [token(jti=str(number)) for number in range(5)]
    first = [await verifier.verify(each) for each in tokens]
    assert len(verifier._verified) == 3
    assert REGISTRY.get_sample_value("examflow_tokens_remembered") == 3
    assert await verifier.verify(tokens[4]) is first[4]
    assert await verifier.verify(tokens[0]) is not first[0]


async def test_a_refused_token_is_not_remembered(jwks: Path) -> None:
    verifier = verifier_of(jwks)
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="expired"):
            await verifier.verify(token(exp=int(time.time()) - 3600))
    assert len(verifier._verified) == 0
