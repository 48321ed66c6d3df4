"""The keys that verify tokens: read when they are needed, again after a rotation, and what is remembered of tokens."""

import asyncio
import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from shared.errors import KeysAway, Unauthenticated
from shared.settings import TokenSettings
from shared.tokens import TokenVerifier
from tests.unit.keys import AUDIENCE, ISSUER, OTHER_RSA, PUBLIC, token, write_keys


class Watched(TokenVerifier):
    """Counts how often the keys are read."""

    reads = 0

    async def _jwks(self) -> dict[str, object]:
        self.reads += 1
        return await super()._jwks()


def verifier_of(jwks: Path | str, remembered: int = 100) -> Watched:
    return Watched(TokenSettings(jwks=str(jwks), issuer=ISSUER, audience=AUDIENCE, remembered=remembered))


def write(jwks: Path, content: str) -> None:
    jwks.write_text(content, encoding="latin-1")


def forget(jwks: Path) -> None:
    jwks.unlink()


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    write_keys(path, "rsa")
    return path


async def test_nothing_is_read_before_the_first_token(tmp_path: Path) -> None:
    verifier = verifier_of(tmp_path / "jwks.json")
    assert verifier.reads == 0
    write_keys(tmp_path / "jwks.json", "rsa")
    assert (await verifier.verify(token())).sub == "alice"


async def test_the_keys_are_read_once(jwks: Path) -> None:
    verifier = verifier_of(jwks)
    for number in range(5):
        await verifier.verify(token(jti=str(number)))
    assert verifier.reads == 1


async def test_a_rotated_key_is_found_once_the_time_has_passed(jwks: Path) -> None:
    verifier = verifier_of(jwks)
    await verifier.verify(token())
    write_keys(jwks, "other")
    rotated = token(OTHER_RSA, kid="other")
    with pytest.raises(Unauthenticated, match="unknown key"):
        await verifier.verify(rotated)
    verifier._read_at -= 31
    assert (await verifier.verify(rotated)).sub == "alice"
    with pytest.raises(Unauthenticated, match="unknown key"):
        await verifier.verify(token(jti="by the key that was withdrawn"))


async def test_unknown_keys_do_not_make_it_read_again_and_again(jwks: Path) -> None:
    verifier = verifier_of(jwks)
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await verifier.verify(token(kid=f"unknown {number}"))
    assert verifier.reads == 1


async def test_unknown_keys_do_not_make_it_ask_again_and_again_where_nobody_answers(jwks: Path) -> None:
    verifier = verifier_of(jwks)
    await verifier.verify(token())
    forget(jwks)
    verifier._read_at -= 31
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await verifier.verify(token(kid=f"unknown {number}"))
    assert verifier.reads == 2


@pytest.mark.parametrize(
    "content",
    [None, "", "{", "null", "5", '"text"', "[]", "[1]", "{}", '{"keys": []}', '{"keys": 5}', '{"keys": [5]}', "\xff"],
)
async def test_without_keys_nobody_is_let_in(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        write(tmp_path / "jwks.json", content)
    verifier = verifier_of(tmp_path / "jwks.json")
    with pytest.raises(KeysAway) as away:
        await verifier.verify(token())
    assert (away.value.status, away.value.retry_after) == (503, 5)


async def test_keys_without_a_name_are_none(jwks: Path) -> None:
    write(jwks, json.dumps({"keys": [PUBLIC["rsa"]]}))
    with pytest.raises(KeysAway):
        await verifier_of(jwks).verify(token(kid=None))


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_keys_behind_a_url(jwks: Path, status: int) -> None:
    content = await asyncio.to_thread(jwks.read_bytes)

    class Issuer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server asks for
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Issuer) as server:
        Thread(target=server.handle_request, daemon=True).start()
        verifier = verifier_of(f"http://127.0.0.1:{server.server_port}/keys")
        if status == 200:
            assert (await verifier.verify(token())).sub == "alice"
        else:
            with pytest.raises(KeysAway):
                await verifier.verify(token())


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/jwks.json", "https://127.0.0.1:1/jwks.json"])
async def test_keys_behind_a_url_that_does_not_answer(url: str) -> None:
    with pytest.raises(KeysAway):
        await verifier_of(url).verify(token())


async def test_keys_that_come_back_let_callers_in_at_once(tmp_path: Path) -> None:
    verifier = verifier_of(tmp_path / "jwks.json")
    with pytest.raises(KeysAway):
        await verifier.verify(token())
    write_keys(tmp_path / "jwks.json", "rsa")
    assert (await verifier.verify(token())).sub == "alice"


async def test_known_keys_stay_good_while_the_file_is_away(jwks: Path) -> None:
    verifier = verifier_of(jwks)
    await verifier.verify(token())
    forget(jwks)
    verifier._read_at -= 31
    with pytest.raises(Unauthenticated):
        await verifier.verify(token(kid="unknown"))
    assert (await verifier.verify(token(jti="another"))).sub == "alice"


async def test_keys_that_are_not_understood_do_not_spoil_the_others(jwks: Path) -> None:
    strange = [{"kty": "unheard of", "kid": "x"}, {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}, {**PUBLIC["other"]}]
    write(jwks, json.dumps({"keys": [*strange, {**PUBLIC["rsa"], "kid": "rsa"}]}))
    verifier = verifier_of(jwks)
    assert (await verifier.verify(token())).sub == "alice"
    with pytest.raises(Unauthenticated):
        await verifier.verify(token(b"secret" * 10, "HS256", "shared"))


async def test_a_token_is_remembered_until_it_expires(jwks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier, good = verifier_of(jwks), token()
    first = await verifier.verify(good)
    assert await verifier.verify(good) is first
    later = time.time() + 301
    monkeypatch.setattr("shared.tokens.time.time", lambda: later)
    assert await verifier.verify(good) is not first  # looked at anew; the library's own clock still finds it good


async def test_only_so_many_tokens_are_remembered(jwks: Path) -> None:
    verifier = verifier_of(jwks, remembered=3)
    tokens = [token(jti=str(number)) for number in range(5)]
    first = [await verifier.verify(each) for each in tokens]
    assert len(verifier._verified) == 3
    assert await verifier.verify(tokens[4]) is first[4]
    assert await verifier.verify(tokens[0]) is not first[0]


async def test_a_refused_token_is_not_remembered(jwks: Path) -> None:
    verifier = verifier_of(jwks)
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="expired"):
            await verifier.verify(token(exp=int(time.time()) - 3600))
    assert len(verifier._verified) == 0
