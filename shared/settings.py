"""The settings that several services share. Environment: prefix `EXAMFLOW_`, `__` between a group and its field.

A secret may also be given as a file: `..._FILE` (shared/secret_files.py).
"""

from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from shared.secret_files import SettingsWithFiles
from shared.tls import Dependency

PREFIX = "EXAMFLOW_"


def _known_zone(name: str) -> str:
    ZoneInfo(name)
    return name


FacilityZone = Annotated[
    str,
    AfterValidator(_known_zone),
    Field(description="the zone of DICOM times that carry no offset (IANA name); the same for all services"),
]


class OrthancSettings(Dependency):
    """Where Orthanc answers over HTTP, and the account this service has there."""

    url: str
    user: str
    password: SecretStr
    connect_seconds: float = 2.0
    answer_seconds: float = Field(60.0, description="the longest wait for one answer")
    connections: int = Field(40, description="at most this many at once; Orthanc has 50 threads")


class BrokerSettings(Dependency):
    """RabbitMQ; the user name in the URL is also the AMQP `user_id` of what is published."""

    url: SecretStr
    exchange: str = "medical-images"
    confirm_seconds: float = Field(5.0, description="the longest wait for a publisher's confirm")
    heartbeat_seconds: int = Field(10, description="a half-open link is noticed after some three of them")
    prefetch: int = Field(64, description="messages in hand at once")


class TokenSettings(Dependency):
    """Whose tokens are believed: keys by JWKS (path or URL), issuer, audience, and the names of two claims."""

    jwks: str
    issuer: str
    audience: str
    leeway_seconds: int = Field(30, le=60)
    refresh_seconds: float = Field(30.0, description="an unknown kid reads the keys anew at most this often")
    remembered: int = Field(10_000, description="verified tokens kept until they expire")
    scope_claim: str = "scope"
    groups_claim: str = "groups"


class ServiceSettings(SettingsWithFiles):
    """What every service has."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", hide_input_in_errors=True
    )

    orthanc: OrthancSettings
    broker: BrokerSettings
    tokens: TokenSettings
    ca_file: Path | None = Field(None, description="PEM of the authorities that vouch for every server asked over TLS")
    profile: Literal["production", "local"] = Field("production", description="local: weak secrets are taken")
    log_level: str = "INFO"
    cors_origins: list[str] = Field([])
    ready_seconds: float = Field(2.0, description="the longest wait of one readiness check")

    @model_validator(mode="after")
    def _one_authority_for_all(self) -> Self:
        for group in (getattr(self, name) for name in type(self).model_fields):
            if isinstance(group, Dependency):
                group.ca_file = group.ca_file or self.ca_file
        return self
