"""Passwords of one system: made at its first start, kept until ``clean``."""

from secrets import token_hex

from pydantic import BaseModel, Field

from deploy.local.files import write_private
from deploy.local.layout import Layout


def _secret() -> str:
    # Hexadecimal needs no quoting in a URL, a shell, JSON or a configuration file.
    return token_hex(20)


class Secrets(BaseModel, frozen=True):
    """One password for each user of each server."""

    orthanc_admin: str = Field(default_factory=_secret)
    orthanc_upload: str = Field(default_factory=_secret)
    orthanc_registration: str = Field(default_factory=_secret)
    orthanc_preview: str = Field(default_factory=_secret)
    rabbitmq_admin: str = Field(default_factory=_secret)
    rabbitmq_upload: str = Field(default_factory=_secret)
    rabbitmq_registration: str = Field(default_factory=_secret)
    rabbitmq_preview: str = Field(default_factory=_secret)
    rabbitmq_preview_rights: str = Field(default_factory=_secret)
    postgres_admin: str = Field(default_factory=_secret)
    postgres_examflow: str = Field(default_factory=_secret)
    postgres_registration: str = Field(default_factory=_secret)
    postgres_orthanc: str = Field(default_factory=_secret)
    erlang_cookie: str = Field(default_factory=_secret)
    internal_token: str = Field(default_factory=_secret)
    signed_url_secret: str = Field(default_factory=_secret)

    def of(self, server: str) -> dict[str, str]:
        """The passwords of one server by user: ``of("rabbitmq")["upload"]``."""
        prefix = f"{server}_"
        return {name.removeprefix(prefix): value for name, value in self if name.startswith(prefix)}


def load_secrets(layout: Layout) -> Secrets:
    """The system's secrets, or new ones; a field added since they were written gets its value now."""
    known = layout.secrets.read_text() if layout.secrets.exists() else "{}"
    return Secrets.model_validate_json(known)


def save_secrets(layout: Layout, secrets: Secrets) -> None:
    """Write them down, readable by their owner alone."""
    write_private(layout.secrets, secrets.model_dump_json(indent=2) + "\n")
