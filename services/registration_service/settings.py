"""The registration service's settings; the reconciler has the same."""

from pydantic import BaseModel, Field, SecretStr

from shared.settings import ServiceSettings


class DatabaseSettings(BaseModel):
    """PostgreSQL; time limits are enforced by the server."""

    url: SecretStr = Field(description="postgresql+asyncpg://user:password@host:port/database")
    connections: int = Field(10, description="at most this many, for requests and events together")
    connection_wait_seconds: float = Field(5.0, description="the longest wait for a free connection")
    connect_seconds: float = 3.0
    statement_seconds: float = Field(10.0, description="the longest a statement may run")
    lock_seconds: float = Field(5.0, description="the longest wait for a lock")


class Settings(ServiceSettings):
    """Environment variables `EXAMFLOW_...`; see shared/settings.py for the groups."""

    database: DatabaseSettings
    internal_token: SecretStr = Field(description="what the preview service shows to ask about rights")
    event_wait_seconds: float = Field(2.0, description="how long HTTP waits for an instance's event to arrive")
    url_hosts: list[str] = Field([], description="https hosts that an image's url may name")
    retry_seconds: list[float] = Field([10, 60, 600], description="pauses before the next attempts at one message")
    outbox_pause_seconds: float = Field(0.5, description="pause between looks into an empty outbox")
    outbox_batch: int = 200
    storage_pause_seconds: float = Field(15.0, description="pause between looks at Orthanc's storage use")
