"""Secrets from files: for every secret NAME there is NAME_FILE, the path of a file with its value.

Docker and Kubernetes mount secrets so. What is wrong with one is a sentence that never shows a value.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

SUFFIX = "_FILE"
LARGEST = 64 * 1024  # bytes: a mounted device or log is no secret


class SettingsRefused(ValueError):
    """The settings are wrong; the message is for a person."""


class SecretFiles(PydanticBaseSettingsSource):
    """The source of all fields of type SecretStr, in nested groups too, whose `..._FILE` is set."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not asked for: all values are had at once."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """The values by group and field. Raises SettingsRefused."""
        prefix, found = self.config.get("env_prefix", ""), dict[str, Any]()
        environment = {name.upper(): value for name, value in os.environ.items()}
        for path in secret_paths(self.settings_cls):
            value = _from_file(variable(path, prefix), environment)
            if value is not None:
                group = found
                for step in path[:-1]:
                    group = group.setdefault(step, {})
                group[path[-1]] = value
        return found


class SettingsWithFiles(BaseSettings):
    """Settings whose secrets may be given as files."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the code gives, then files, then the environment."""
        return (init_settings, SecretFiles(settings_cls), env_settings, dotenv_settings, file_secret_settings)


def secret_paths(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """The fields that hold secrets, each with the groups that it stands in."""
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if kind is SecretStr:
                yield (name,)
            elif isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from ((name, *rest) for rest in secret_paths(kind))


def variable(path: tuple[str | int, ...], prefix: str) -> str:
    """The environment variable of a field."""
    return f"{prefix}{'__'.join(map(str, path))}".upper()


def secret_of(name: str) -> str:
    """A secret of the environment, by its variable or its file, where there are no settings. Raises SettingsRefused."""
    value = _from_file(name, os.environ) or os.environ.get(name)
    if not value:
        raise SettingsRefused(f"{name} is not set, nor is {name}{SUFFIX}.")
    return value


def _from_file(name: str, environment: Mapping[str, str]) -> str | None:
    """The content of the file that NAME_FILE names, without the line's end; None where none is named."""
    path = environment.get(name + SUFFIX)
    if not path:
        return None
    if environment.get(name):
        raise SettingsRefused(f"{name} and {name}{SUFFIX} are both set: leave one of them out.")
    # A path may be shown; what was put there by mistake may be the secret itself.
    where = path if path.startswith("/") else "(not an absolute path)"
    try:
        with Path(path).open("rb") as file:
            text = file.read(LARGEST + 1).decode().rstrip("\r\n")
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
    except ValueError:
        why = "is no text in UTF-8"
    else:
        if text.strip() and len(text) <= LARGEST:
            return text
        why = "is empty" if not text.strip() else f"holds more than {LARGEST} bytes"
    raise SettingsRefused(f"{name}{SUFFIX} names the file {where}, which {why}: correct its path, content or rights.")
