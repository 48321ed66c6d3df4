"""Secrets that are none: refused wherever they stand, in a field, in a URL, or among several tokens."""

from typing import Any

import pytest

from deploy.local.secrets import Secrets
from services.preview_service.settings import Settings as PreviewSettings
from services.registration_service.settings import Settings
from shared.weak_secrets import complaints, weakness
from tests.unit.settings import DATABASE, SHARED

GOOD = "f3a91c07be5d4268"
STRONG: dict[str, Any] = {
    **SHARED,
    "orthanc": {"url": "http://orthanc", "user": "registration", "password": GOOD},
    "broker": {"url": f"amqp://registration:{GOOD}@rabbitmq:5672/"},
    "database": {"url": f"postgresql+asyncpg://registration:{GOOD}@postgres/examflow"},
    "internal_token": GOOD,
}


def told(**changes: Any) -> dict[str, str]:
    return {".".join(path): why for path, why in complaints(Settings(**{**STRONG, **changes}))}


@pytest.mark.parametrize(
    "weak",
    ["secret", "guest", "Orthanc", "CHANGEME", "", "x" * 40, "0123456789abcde", "changemechangeme", "orthanc" * 9],
)
def test_what_everybody_can_guess_is_weak(weak: str) -> None:
    assert weakness(weak)


def test_what_the_local_system_makes_is_not() -> None:
    for _, secret in Secrets():
        assert weakness(secret) is None


def test_strong_ones_pass() -> None:
    assert told() == {}


@pytest.mark.parametrize(
    ("where", "changes"),
    [
        ("orthanc.password", {"orthanc": {"url": "http://orthanc", "user": "u", "password": "orthanc"}}),
        ("broker.url", {"broker": {"url": "amqp://registration:secret@rabbitmq/"}}),
        ("broker.url", {"broker": {"url": "amqp://rabbitmq/"}}),  # an AMQP client would say guest
        ("broker.url", {"broker": {"url": "amqp://registration:%61%72%63%74%65%6a%6b@rabbitmq/"}}),
        ("broker.url", {"broker": {"url": f"amqp://registration:{GOOD}/{GOOD}@rabbitmq/"}}),  # cut at the slash
        ("database.url", {"database": DATABASE}),
        ("internal_token", {"internal_token": "changeme"}),
        ("internal_token", {"internal_token": f"{GOOD},secret"}),
        ("internal_token", {"internal_token": ""}),
        ("internal_token", {"internal_token": " , "}),
    ],
)
def test_a_weak_one_is_named(where: str, changes: dict[str, Any]) -> None:
    found = told(**changes)
    assert list(found) == [where]
    assert GOOD not in found[where]


@pytest.mark.parametrize(
    ("secret", "weak"),
    [(None, False), (GOOD, False), (f"{GOOD},{GOOD[::-1]}", False), (f"{GOOD},examflow", True), ("", True)],
)
def test_what_signs_urls_is_a_secret_too(secret: str | None, weak: bool) -> None:  # noqa: FBT001
    asked = {"url": "http://registration", "token": GOOD}
    shared = {**STRONG, "rights": STRONG["broker"], "registration": asked, "signed": {"secret": secret}}
    found = [".".join(path) for path, _ in complaints(PreviewSettings.model_validate(shared))]
    assert found == (["signed.secret"] if weak else [])


@pytest.mark.parametrize(
    "changes",
    [
        {"broker": {"url": f"amqps://registration:{GOOD.replace('f', '%66')}@[::1]:5671/%2Fvhost"}},
        {"database": {"url": "postgresql+asyncpg://registration@postgres/examflow"}},  # by certificate, say
        {"internal_token": f"{GOOD},{GOOD[::-1]}"},
        {"internal_token": f"{GOOD} {GOOD[::-1]}"},
    ],
)
def test_what_is_strong_in_its_form_passes(changes: dict[str, Any]) -> None:
    assert told(**changes) == {}
