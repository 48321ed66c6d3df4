"""The keys that verify tokens: when they are read, how often at most, and what is remembered of tokens."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from shared import jwks as jwks_module
from shared import keys as keys_module
from shared.errors import KeysAway, Unauthenticated
from shared.settings import TokenSettings
from shared.tokens import TokenVerifier
from tests.unit.keys import AUDIENCE, ISSUER, OTHER_RSA, PUBLIC, token, write_keys

GONE = "the issuer has not answered"


class Reads:
    """Counts the readings; each waits for `held`. Where `away` is given, each waits for that and fails."""

    def __init__(self) -> None:
        self.count = 0
        self.held = asyncio.Event()
        self.held.set()
        self.away: asyncio.Event | None = None

    async def __call__(self, settings: TokenSettings) -> object:
        self.count += 1
        if self.away:
            await self.away.wait()
            raise jwks_module.NoKeys("away", GONE)
        await self.held.wait()
        return await jwks_module.read_jwks(settings)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    reads = Reads()
    monkeypatch.setattr(keys_module, "read_jwks", reads)
    return reads


def verifier_of(jwks: Path) -> TokenVerifier:
    return TokenVerifier(TokenSettings(jwks=str(jwks), issuer=ISSUER, audience=AUDIENCE))


def later(verifier: TokenVerifier, seconds: float) -> None:
    """So much time passes."""
    verifier.keys._tried_at -= seconds


def write(jwks: Path, content: str) -> None:
    jwks.write_text(content, encoding="latin-1")


def forget(jwks: Path) -> None:
    jwks.unlink()


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    write_keys(path, "rsa")
    return path


async def test_nothing_is_read_before_the_first_token(tmp_path: Path, reads: Reads) -> None:
    verifier = verifier_of(tmp_path / "jwks.json")
    assert reads.count == 0
    write_keys(tmp_path / "jwks.json", "rsa")
    assert (await verifier.verify(token())).sub == "alice"


async def test_the_keys_are_read_once(jwks: Path, reads: Reads) -> None:
    verifier = verifier_of(jwks)
    for number in range(5):
        await verifier.verify(token(jti=str(number)))
    assert reads.count == 1


async def test_a_rotated_key_is_found_once_the_time_has_passed(jwks: Path) -> None:
    verifier = verifier_of(jwks)
    await verifier.verify(token())
    write_keys(jwks, "rsa", "other")
    rotated = token(OTHER_RSA, kid="other")
    with pytest.raises(Unauthenticated, match="unknown key"):
        await verifier.verify(rotated)
    later(verifier, 31)
    assert (await verifier.verify(rotated)).sub == "alice"
    assert (await verifier.verify(token(jti="by the old key, in the overlap"))).sub == "alice"


async def test_a_key_that_was_taken_out_is_believed_no_more(jwks: Path) -> None:
    verifier = verifier_of(jwks)
    old = token()
    await verifier.verify(old)
    write_keys(jwks, "other")
    assert (await verifier.verify(old)).sub == "alice"
    await verifier.keys.read()
    with pytest.raises(Unauthenticated, match="unknown key"):
        await verifier.verify(old)
    with pytest.raises(Unauthenticated, match="unknown key"):
        await verifier.verify(token(jti="by the key that was withdrawn"))
    assert len(verifier._verified) == 0


async def test_another_key_under_the_old_name_is_another_key(jwks: Path) -> None:
    verifier = verifier_of(jwks)
    old = token()
    await verifier.verify(old)
    write(jwks, json.dumps({"keys": [{**PUBLIC["other"], "kid": "rsa"}]}))
    await verifier.keys.read()
    with pytest.raises(Unauthenticated, match="not valid"):
        await verifier.verify(old)
    assert (await verifier.verify(token(OTHER_RSA))).sub == "alice"


async def test_unknown_keys_do_not_make_it_read_again_and_again(jwks: Path, reads: Reads) -> None:
    verifier = verifier_of(jwks)
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await verifier.verify(token(kid=f"unknown {number}"))
    assert reads.count == 1


async def test_unknown_keys_do_not_make_it_ask_again_and_again_where_nobody_answers(jwks: Path, reads: Reads) -> None:
    verifier = verifier_of(jwks)
    await verifier.verify(token())
    forget(jwks)
    later(verifier, 31)
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await verifier.verify(token(kid=f"unknown {number}"))
    assert reads.count == 2


async def test_many_with_a_new_key_at_once_make_one_reading_and_are_all_let_in(jwks: Path, reads: Reads) -> None:
    verifier = verifier_of(jwks)
    await verifier.verify(token())
    write_keys(jwks, "rsa", "other")
    later(verifier, 31)
    rotated = [token(OTHER_RSA, kid="other", jti=str(number)) for number in range(20)]
    callers = await asyncio.gather(*(verifier.verify(each) for each in rotated))
    assert {caller.sub for caller in callers} == {"alice"}
    assert reads.count == 2


async def test_many_at_once_do_not_wait_where_there_never_was_a_key(jwks: Path, reads: Reads) -> None:
    verifier, reads.away = verifier_of(jwks), asyncio.Event()
    first = asyncio.create_task(verifier.verify(token()))
    await asyncio.sleep(0)
    asked = (verifier.verify(token(jti=str(n))) for n in range(50))
    others = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 30)
    assert {type(other) for other in others} == {KeysAway}  # each answered while the reading still waits
    assert (first.done(), reads.count) == (False, 1)
    reads.away.set()
    with pytest.raises(KeysAway):
        await first
    for _ in range(20):
        with pytest.raises(KeysAway):
            await verifier.verify(token())
    assert reads.count == 1


async def test_one_who_leaves_does_not_stop_the_reading_for_the_others(jwks: Path, reads: Reads) -> None:
    verifier = verifier_of(jwks)
    reads.held.clear()
    impatient = asyncio.create_task(verifier.verify(token()))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    patient = asyncio.create_task(verifier.keys.read())
    await asyncio.sleep(0)
    reads.held.set()
    await patient
    assert (await verifier.verify(token())).sub == "alice"
    assert reads.count == 1


@pytest.mark.parametrize(
    "content", [None, "", "{", "null", "5", '"text"', "[]", "[1]", "{}", '{"keys": []}', '{"keys": 5}', "\xff"]
)
async def test_without_keys_nobody_is_let_in(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        write(tmp_path / "jwks.json", content)
    verifier = verifier_of(tmp_path / "jwks.json")
    with pytest.raises(KeysAway) as away:
        await verifier.verify(token())
    assert (away.value.status, away.value.retry_after) == (503, 5)
    with pytest.raises(KeysAway):
        await verifier.keys.answers()


async def test_keys_that_come_back_let_callers_in_after_a_second(tmp_path: Path) -> None:
    verifier = verifier_of(tmp_path / "jwks.json")
    with pytest.raises(KeysAway):
        await verifier.verify(token())
    write_keys(tmp_path / "jwks.json", "rsa")
    later(verifier, 1.1)
    assert (await verifier.verify(token())).sub == "alice"
    await verifier.keys.answers()


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"keys": 5}', "\xff"])
async def test_known_keys_stay_good_while_the_jwks_cannot_be_read(jwks: Path, content: str | None) -> None:
    verifier = verifier_of(jwks)
    await verifier.verify(token())
    forget(jwks)
    if content is not None:
        write(jwks, content)
    await verifier.keys.read()
    await verifier.keys.answers()
    with pytest.raises(Unauthenticated):
        await verifier.verify(token(kid="unknown"))
    assert (await verifier.verify(token(jti="another"))).sub == "alice"


async def test_a_jwks_that_says_there_are_none_is_believed(jwks: Path) -> None:
    """An issuer that withdraws its only key means it."""
    verifier = verifier_of(jwks)
    await verifier.verify(token())
    write(jwks, '{"keys": []}')
    await verifier.keys.read()
    with pytest.raises(KeysAway):
        await verifier.verify(token())


async def test_readings_are_counted_by_outcome(jwks: Path) -> None:
    def counted(outcome: str) -> float:
        return REGISTRY.get_sample_value("examflow_keys_read_total", {"outcome": outcome}) or 0

    verifier, before = verifier_of(jwks), {outcome: counted(outcome) for outcome in ("read", "away", "garbage")}
    await verifier.keys.read()
    assert REGISTRY.get_sample_value("examflow_keys_known") == 1
    assert abs((REGISTRY.get_sample_value("examflow_keys_read_timestamp_seconds") or 0) - time.time()) < 60
    write(jwks, "{")
    await verifier.keys.read()
    forget(jwks)
    await verifier.keys.read()
    assert {outcome: counted(outcome) - number for outcome, number in before.items()} == dict.fromkeys(before, 1)
