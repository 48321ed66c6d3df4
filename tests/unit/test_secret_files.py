"""Secrets as files: read like the variable of the same name, and never shown where they cannot be."""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.operator.settings import Settings as OperatorSettings
from services.preview_service.settings import Settings as PreviewSettings
from services.registration_service.settings import Settings as RegistrationSettings
from services.upload_service.settings import Settings as UploadSettings
from shared.secret_files import LARGEST, SettingsRefused, secret_of, secret_paths, variable

SECRET = "a-secret-from-a-file"
PLAIN = {
    "EXAMFLOW_ORTHANC__URL": "http://orthanc:8042",
    "EXAMFLOW_ORTHANC__USER": "upload",
    "EXAMFLOW_TOKENS__JWKS": "/keys",
    "EXAMFLOW_TOKENS__ISSUER": "i",
    "EXAMFLOW_TOKENS__AUDIENCE": "a",
    "EXAMFLOW_REGISTRATION__URL": "http://registration",
}
NAMES = {
    UploadSettings: {"EXAMFLOW_ORTHANC__PASSWORD", "EXAMFLOW_BROKER__URL"},
    RegistrationSettings: {
        *("EXAMFLOW_ORTHANC__PASSWORD", "EXAMFLOW_BROKER__URL"),
        *("EXAMFLOW_DATABASE__URL", "EXAMFLOW_INTERNAL_TOKEN"),
    },
    PreviewSettings: {
        *("EXAMFLOW_ORTHANC__PASSWORD", "EXAMFLOW_BROKER__URL"),
        *("EXAMFLOW_REGISTRATION__TOKEN", "EXAMFLOW_SIGNED__SECRET"),
    },
    OperatorSettings: {"EXAMFLOW_TOKEN", "RABBITMQ_MANAGEMENT_URL", "RABBITMQ_URL"},
}
Kind = type[UploadSettings] | type[RegistrationSettings] | type[PreviewSettings] | type[OperatorSettings]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("EXAMFLOW", "RABBITMQ"))]:
        monkeypatch.delenv(name)
    for name, value in PLAIN.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("kind", NAMES, ids=lambda kind: kind.__module__.split(".")[1])
def test_every_secret_may_be_a_file(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = kind.model_config.get("env_prefix", "")
    names = {variable(path, prefix) for path in secret_paths(kind)}
    assert names >= NAMES[kind]
    for name in names:
        (tmp_path / name).write_text(f"{SECRET} of {name}\n")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
    settings = kind()
    for path in secret_paths(kind):
        value: object = settings
        for step in path:
            value = getattr(value, step)
        assert isinstance(value, SecretStr)
        assert value.get_secret_value() == f"{SECRET} of {variable(path, prefix)}"
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()


def test_the_other_fields_of_a_group_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text(SECRET)
    monkeypatch.setenv("EXAMFLOW_ORTHANC__PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("EXAMFLOW_BROKER__URL", "amqp://upload:x@rabbitmq/")
    settings = UploadSettings()
    assert (settings.orthanc.user, settings.orthanc.password.get_secret_value()) == ("upload", SECRET)


def test_what_is_no_secret_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text("http://elsewhere")
    monkeypatch.setenv("EXAMFLOW_ORTHANC__URL_FILE", str(tmp_path / "url"))
    for name in NAMES[UploadSettings]:
        monkeypatch.setenv(name, "amqp://u:p@h/")
    assert UploadSettings().orthanc.url == PLAIN["EXAMFLOW_ORTHANC__URL"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n\r\n", "is empty"),
        (b"\xff\xfe" + SECRET.encode(), "no text"),
        (b"s" * LARGEST * 2, "more"),
    ],
)
def test_a_file_that_holds_no_secret_is_told_without_its_content(
    content: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "broker-url"
    path.write_bytes(content)
    monkeypatch.setenv("EXAMFLOW_BROKER__URL_FILE", str(path))
    with pytest.raises(SettingsRefused, match=says) as told:
        UploadSettings()
    assert str(path) in str(told.value)
    assert "EXAMFLOW_BROKER__URL_FILE" in str(told.value)
    assert SECRET not in str(told.value)
    assert "ssss" not in str(told.value)
    assert told.value.__cause__ is None


@pytest.mark.parametrize("make", ["missing", "directory"])
def test_a_file_that_cannot_be_read_is_told(make: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path if make == "directory" else tmp_path / "missing"
    monkeypatch.setenv("EXAMFLOW_TOKEN_FILE", str(path))
    with pytest.raises(SettingsRefused, match=f"EXAMFLOW_TOKEN_FILE names the file {path}, which cannot be read"):
        OperatorSettings()


def test_a_secret_that_was_put_where_its_path_belongs_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMFLOW_BROKER__URL_FILE", f"amqp://upload:{SECRET}@rabbitmq/")
    with pytest.raises(SettingsRefused, match="not an absolute path") as told:
        UploadSettings()
    assert SECRET not in str(told.value)


def test_both_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(SECRET)
    monkeypatch.setenv("EXAMFLOW_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("EXAMFLOW_TOKEN", "another")
    with pytest.raises(SettingsRefused, match="both set"):
        OperatorSettings()
    with pytest.raises(SettingsRefused, match="both set"):
        secret_of("EXAMFLOW_TOKEN")


def test_a_secret_where_there_are_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsRefused, match="EXAMFLOW_DATABASE__URL is not set, nor is EXAMFLOW_DATABASE__URL_FILE"):
        secret_of("EXAMFLOW_DATABASE__URL")
    (tmp_path / "url").write_text(SECRET + "\n")
    monkeypatch.setenv("EXAMFLOW_DATABASE__URL_FILE", str(tmp_path / "url"))
    assert secret_of("EXAMFLOW_DATABASE__URL") == SECRET
    monkeypatch.delenv("EXAMFLOW_DATABASE__URL_FILE")
    monkeypatch.setenv("EXAMFLOW_DATABASE__URL", "another")
    assert secret_of("EXAMFLOW_DATABASE__URL") == "another"
