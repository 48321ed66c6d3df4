"""The settings that several services share. Environment: prefix `EXAMFLOW_`, `__` between a group and its field.

A secret may also be given as a file: `..._FILE` (shared/secret_files.py).
"""

from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, Field, SecretStr, model_validator
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
    streams: int = Field(24, ge=1, description="of these, for files that flow to or from a client at its pace")
    streams_wait_seconds: float = Field(10.0, gt=0, description="the longest wait for one of them")


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
    longest: int = Field(8192, description="a longer token is refused, in characters")
    leeway_seconds: int = Field(30, ge=0, le=60, description="how far the issuer's clock may be off")
    reread_seconds: float = Field(
        300.0, gt=0, description="the keys are read this often anyway: how long one that was taken out is believed"
    )
    refresh_seconds: float = Field(30.0, description="an unknown kid reads the keys anew at most this often")
    retry_seconds: float = Field(1.0, description="the same while there never was a key")
    read_seconds: float = Field(5.0, gt=0, description="the longest reading of the keys")
    largest_jwks: int = Field(256 * 1024, description="a longer JWKS is not read, in bytes")
    remembered: int = Field(10_000, description="verified tokens kept until they expire")
    scope_claim: str = "scope"
    groups_claim: str = "groups"


class AuditSettings(BaseModel):
    """How a service keeps its audit records. `async` loses, in a crash, what was not sent yet."""

    mode: Literal["strict", "async"] = "strict"
    spool: Path = Field(Path("/var/spool/examflow"), description="directory of records while the broker is away")
    spool_bytes: int = Field(64 * 1024 * 1024, description="more are refused: then nothing is shown either")
    confirm_seconds: float = Field(2.0, description="the longest wait for the broker, then records go to the spool")
    drain_seconds: float = Field(1.0, description="pause between tries to send what is spooled")
    waiting: int = Field(10_000, description="records in memory at once; more are refused")
    messages: int = Field(2, ge=1, description="messages with records that wait for their confirm at once")

    def broker(self, settings: BrokerSettings) -> BrokerSettings:
        """The broker's settings with the patience of a view, which is shorter than that of an upload."""
        return settings.model_copy(update={"confirm_seconds": self.confirm_seconds})


class ServiceSettings(SettingsWithFiles):
    """What every service has."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", hide_input_in_errors=True
    )

    orthanc: OrthancSettings
    broker: BrokerSettings
    tokens: TokenSettings
    audit: AuditSettings = AuditSettings()
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
