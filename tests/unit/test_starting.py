"""A service does not start on wrong or weak settings, and tells why without any value."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.layout import REPO
from services.registration_service.settings import Settings
from shared.starting import read_settings

GOOD = "f3a91c07be5d4268aa07"
STRONG = {
    "EXAMFLOW_ORTHANC__URL": "http://127.0.0.1:1",
    "EXAMFLOW_ORTHANC__USER": "registration",
    "EXAMFLOW_ORTHANC__PASSWORD": GOOD,
    "EXAMFLOW_BROKER__URL": f"amqp://registration:{GOOD}@127.0.0.1:1/",
    "EXAMFLOW_TOKENS__JWKS": "/nowhere",
    "EXAMFLOW_TOKENS__ISSUER": "i",
    "EXAMFLOW_TOKENS__AUDIENCE": "a",
    "EXAMFLOW_DATABASE__URL": f"postgresql+asyncpg://registration:{GOOD}@127.0.0.1:1/examflow",
    "EXAMFLOW_INTERNAL_TOKEN": GOOD,
}
WEAK = {"EXAMFLOW_ORTHANC__PASSWORD": "orthanc-weak", "EXAMFLOW_INTERNAL_TOKEN": "token-weak"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("EXAMFLOW")]:
        monkeypatch.delenv(name)
    for name, value in STRONG.items():
        monkeypatch.setenv(name, value)


def refused() -> list[str]:
    with pytest.raises(SystemExit) as ended:
        read_settings(Settings)
    return str(ended.value.code).splitlines()


def test_strong_settings_are_read() -> None:
    assert read_settings(Settings).profile == "production"


def test_weak_secrets_are_named_each_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WEAK.items():
        monkeypatch.setenv(name, value)
    lines = refused()
    assert [line.split()[5] for line in lines] == list(WEAK)
    assert "weak" not in "".join(lines).replace("takes weak ones", "")


def test_the_local_profile_takes_weak_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WEAK.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EXAMFLOW_PROFILE", "local")
    assert read_settings(Settings).orthanc.password.get_secret_value() == "orthanc-weak"


@pytest.mark.parametrize("profile", ["Local", "dev", ""])
def test_no_other_profile_does(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMFLOW_PROFILE", profile)
    assert "EXAMFLOW_PROFILE" in refused()[0]


def test_a_missing_field_is_named_and_no_value_beside_it_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXAMFLOW_ORTHANC__URL")
    monkeypatch.setenv("EXAMFLOW_OUTBOX_BATCH", GOOD)
    lines = refused()
    assert lines[0] == "The service does not start: EXAMFLOW_ORTHANC__URL: Field required."
    assert lines[1].startswith("The service does not start: EXAMFLOW_OUTBOX_BATCH: Input should be a valid integer")
    assert GOOD not in "".join(lines)


def test_a_file_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EXAMFLOW_ORTHANC__PASSWORD")
    monkeypatch.setenv("EXAMFLOW_ORTHANC__PASSWORD_FILE", str(tmp_path / "none"))
    assert f"EXAMFLOW_ORTHANC__PASSWORD_FILE names the file {tmp_path}/none" in refused()[0]


@pytest.mark.parametrize(
    "app",
    [
        *("services.upload_service.app", "services.preview_service.app"),
        *("services.registration_service.app", "services.registration_service.reconciler"),
    ],
)
def test_each_service_ends_with_the_sentence_alone(app: str) -> None:
    others = {
        "EXAMFLOW_REGISTRATION__URL": "http://127.0.0.1:1",
        "EXAMFLOW_REGISTRATION__TOKEN": GOOD,
        "EXAMFLOW_RIGHTS__URL": f"amqp://preview:{GOOD}@127.0.0.1:1/",
        "EXAMFLOW_ORTHANC__PASSWORD": "changeme",
    }
    done = subprocess.run(
        [sys.executable, "-m", "uvicorn", "--factory", f"{app}:create_app", "--port", "0"],
        env=dict(os.environ) | others,
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("The service does not start: EXAMFLOW_ORTHANC__PASSWORD is a default that everybody knows.")


@pytest.mark.parametrize("name", ["EXAMFLOW_CA_FILE", "EXAMFLOW_ORTHANC__CA_FILE"])
@pytest.mark.parametrize(("content", "says"), [(None, "cannot be read"), ("no PEM", "holds no certificate in PEM")])
def test_an_authority_that_cannot_be_read_is_told(
    name: str, content: str | None, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    monkeypatch.setenv(name, str(path))
    [line] = refused()
    assert line.startswith(f"The service does not start: {name} names the file {path}, which {says}")
