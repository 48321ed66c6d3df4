"""A service process and the issuer that it believes: rotation, and everything that an issuer can do wrong."""

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import issuer as behaviours
from tests.integration.token_service import READ_SECONDS, Service, started
from tests.issuer import Issuer
from tests.running import eventually

MIB = 1024 * 1024
_NAMES = (f"key-{number}" for number in itertools.count())
_ONE_READING = 0.5  # seconds, longer than the service's pause between two readings


@pytest.fixture(scope="module")
def all_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Issuer, Service]]:
    issuer = Issuer()
    issuer.rotate(next(_NAMES))
    with started(issuer, tmp_path_factory.mktemp("issuer") / "service.log") as service:
        yield issuer, service
    issuer.down()


@pytest.fixture
def issuer(all_tests: tuple[Issuer, Service]) -> Iterator[Issuer]:
    """Well, and with one key that the service knows."""
    issuer, service = all_tests
    issuer.let_go.clear()
    yield issuer
    issuer.behave = None
    issuer.let_go.set()
    assert eventually(lambda: service.status(issuer.sign("alice", "dicom:upload")) == 200, 10, "a service that is well")


@pytest.fixture
def service(all_tests: tuple[Issuer, Service]) -> Service:
    return all_tests[1]


def rotated(issuer: Issuer, service: Service) -> None:
    """A new key, not known yet, once the service may look for it."""
    time.sleep(_ONE_READING)
    issuer.rotate(next(_NAMES))


def test_a_token_from_the_token_endpoint(issuer: Issuer, service: Service) -> None:
    answer = service.asks(issuer.token("dicom:upload images:read"))
    assert (answer.status_code, answer.json()["maxFileSize"]) == (200, 2147483648)
    assert service.asks(issuer.token("images:read")).status_code == 403
    nobody = service.asks("x")
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert service.check() == "ok"


def test_a_new_key_is_found_and_the_old_one_holds_in_the_overlap(issuer: Issuer, service: Service) -> None:
    old_kid, old = issuer.signing, issuer.token()
    rotated(issuer, service)
    assert service.status(issuer.token()) == 200
    assert service.status(old) == 200
    assert service.status(issuer.sign("alice", "dicom:upload", old_kid)) == 200


def test_a_key_that_is_dropped_is_believed_no_more_not_even_from_memory(issuer: Issuer, service: Service) -> None:
    old_kid, old = issuer.signing, issuer.token()
    assert service.status(old) == 200
    rotated(issuer, service)
    issuer.drop(old_kid)
    assert service.status(issuer.token()) == 200  # its unknown key has the JWKS read
    refused = service.asks(old)
    assert (refused.status_code, "unknown key" in refused.json()["message"]) == (401, True)


def test_many_with_a_new_key_at_once(issuer: Issuer, service: Service) -> None:
    rotated(issuer, service)
    issuer.behave = behaviours.slowly(issuer, 0.5)
    tokens = [issuer.sign(f"user-{number}", "dicom:upload") for number in range(20)]
    before = issuer.jwks_reads
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(service.status, tokens)) == {200}
    assert issuer.jwks_reads == before + 1


def test_an_issuer_that_is_down_and_comes_back(issuer: Issuer, service: Service) -> None:
    known = issuer.sign("bob", "dicom:upload")
    issuer.down()
    rotated(issuer, service)
    assert service.status(known) == 200
    assert service.status(issuer.sign("alice", "dicom:upload")) == 401  # its key is in no JWKS that can be read
    assert service.check() == "ok"
    issuer.up()
    time.sleep(_ONE_READING)
    assert service.status(issuer.token()) == 200
    assert service.status(known) == 200


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (behaviours.garbage, "garbage"),
        (behaviours.a_server_error, "refused"),
        (behaviours.a_hundred_megabytes, "too-large"),
        (behaviours.a_bomb, "refused"),
        (behaviours.drop_by_drop, "away"),
        ("silently", "away"),
        ("elsewhere", "refused"),
    ],
)
def test_an_issuer_that_misbehaves_changes_nothing(
    issuer: Issuer, service: Service, behaviour: object, outcome: str
) -> None:
    stranger = Issuer()
    rotated(issuer, service)
    stranger.keys, stranger.signing = dict(issuer.keys), issuer.signing
    known = issuer.sign("bob", "dicom:upload", next(iter(issuer.keys)))
    named = {"silently": behaviours.silently(issuer), "elsewhere": behaviours.elsewhere(f"{stranger.url}/jwks")}
    line = f'examflow_keys_read_total{{outcome="{outcome}"}}'
    before, held = service.metric(line), service.memory()
    issuer.behave = named[behaviour] if isinstance(behaviour, str) else behaviour  # type: ignore[assignment]
    answer = service.asks(issuer.sign("alice", "dicom:upload"))
    assert (answer.status_code, service.metric(line)) == (401, before + 1)
    assert answer.elapsed.total_seconds() < 3 * READ_SECONDS
    assert service.status(known) == 200
    assert service.memory() < held + 16 * MIB
    assert stranger.jwks_reads == 0
    stranger.down()


def test_without_a_key_ever_nobody_gets_in_and_nobody_waits(tmp_path: Path) -> None:
    issuer = Issuer()
    issuer.rotate(next(_NAMES))
    issuer.down()
    tokens = [issuer.sign(f"user-{number}", "dicom:upload") for number in range(20)]
    with started(issuer, tmp_path / "service.log", READ_SECONDS="60") as service:
        assert service.check().startswith("KeysAway: The keys that verify tokens cannot be had")
        assert service.status(tokens[0]) == 503
        issuer.behave = behaviours.silently(issuer)
        issuer.up()
        time.sleep(_ONE_READING)
        with ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(service.asks, token) for token in tokens]
            eventually(lambda: sum(one.done() for one in asked) == 19, 20, "answers to all but one")
            assert issuer.jwks_reads == 1
            issuer.let_go.set()
            answers = [one.result() for one in asked]
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(503, "5")}
        issuer.behave = None
        eventually(lambda: service.status(tokens[0]) == 200, 10, "keys")
        assert service.check() == "ok"
    issuer.down()


def test_the_keys_are_read_anew_every_so_often(tmp_path: Path) -> None:
    """A dropped key stops being believed although no token names an unknown one."""
    issuer = Issuer()
    issuer.rotate(next(_NAMES))
    issuer.rotate(next(_NAMES))
    first, second = issuer.keys
    with started(issuer, tmp_path / "service.log", REREAD_SECONDS="1") as service:
        old = issuer.sign("alice", "dicom:upload", first)
        assert service.status(old) == 200
        issuer.drop(first)
        eventually(lambda: service.status(old) == 401, 10, "the end of a dropped key")
        assert service.status(issuer.sign("alice", "dicom:upload", second)) == 200
        secret = old.split(".")
    assert not [part for part in secret if part in service.log.read_text()]
    issuer.down()
