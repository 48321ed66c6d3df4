"""The registration service's settings; the reconciler has the same."""

from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BaseModel, Field, SecretStr, field_validator

from services.registration_service.link import is_host_name
from shared.settings import FacilityZone, ServiceSettings
from shared.tls import Dependency


def _host_name(host: str) -> str:
    if not is_host_name(host.lower()):
        raise ValueError(f"{host!r} is no host for links: give a name with a dot, such as viewer.hospital.example")
    return host.lower()


UrlHost = Annotated[str, AfterValidator(_host_name)]


class DatabaseSettings(Dependency):
    """PostgreSQL; time limits are enforced by the server."""

    url: SecretStr = Field(
        description="postgresql+asyncpg://user:password@host:port/database; over TLS with ?sslmode=verify-full"
    )
    connections: int = Field(10, description="at most this many, for requests and background work")
    connection_wait_seconds: float = Field(5.0, description="the longest wait for one of them")
    event_connections: int = Field(8, ge=1, description="and this many for events: a backlog takes none from requests")
    event_connection_wait_seconds: float = Field(30.0, description="the longest wait for one of those")
    connect_seconds: float = 3.0
    statement_seconds: float = Field(10.0, description="the longest a statement may run")
    lock_seconds: float = Field(5.0, description="the longest wait for a lock")
    idle_seconds: float = Field(
        60.0, description="the longest that a transaction stands still: then its locks are freed"
    )

    @field_validator("url")
    @classmethod
    def _verified_or_plain(cls, url: SecretStr) -> SecretStr:
        if parse_qs(urlsplit(url.get_secret_value()).query).get("sslmode") not in (None, ["verify-full"]):
            raise ValueError("sslmode may be verify-full alone: the others do not verify the server")
        return url

    def for_events(self) -> "DatabaseSettings":
        """The pool of those who work on messages: in a backlog there are more of them than connections."""
        return self.model_copy(
            update={
                "connections": self.event_connections,
                "connection_wait_seconds": self.event_connection_wait_seconds,
            }
        )


class ReconcilerSettings(BaseModel):
    """How the reconciler keeps the ledger true to Orthanc; each pause is between two looks."""

    changes_pause_seconds: float = Field(1.0, description="into Orthanc's change feed")
    changes_page: int = Field(500, ge=1, description="new rows of the change feed read at once")
    changes_overlap: int = Field(100, ge=0, description="rows read again: over PostgreSQL a lower one can come late")
    reads_at_once: int = Field(4, ge=1, description="images of which Orthanc is asked for all facts at once")
    upload_user: str = Field("upload", description="Orthanc's account of the upload service, which tells by itself")
    grace_seconds: float = Field(30.0, description="how long an upload's own event may take before one is sent for it")
    publish_pause_seconds: float = Field(1.0, description="for images that are due")
    publish_batch: int = Field(200, ge=1, description="events sent in one go")
    republish_seconds: list[float] = Field(
        [30, 60, 300, 900, 3600], min_length=1, description="pauses before an undecided image is told again"
    )
    unpark_batch: int = Field(100, ge=1, description="contexts taken off Orthanc's images in one go")
    compare_every_seconds: float = Field(86_400.0, description="between two full compares")
    compare_again_seconds: float = Field(600.0, description="after one that ended in an alarm")
    compare_page: int = Field(1000, ge=1, description="instances compared at once")
    vanished_at_most: int = Field(50, description="more images gone at once than this, and than the share, is an alarm")
    vanished_share: float = Field(0.1, description="of all images")
    sweep_pause_seconds: float = Field(60.0, description="for images that wait for an exam that is there")
    sweep_batch: int = Field(500, ge=1, description="images decided in one sweep")
    gauges_pause_seconds: float = Field(5.0, description="for the metrics")
    unaccounted_seconds: float = Field(60.0, description="how old an undecided image is when it counts as unaccounted")


class MessageSettings(BaseModel):
    """What becomes of messages, and whose are believed."""

    retry_seconds: list[float] = Field(
        [10, 60, 600], max_length=3, description="pauses before the next attempts at one message; one queue for each"
    )
    hold_pause_seconds: float = Field(1.0, description="between attempts while a dependency is away")
    hold_at_most_seconds: float = Field(
        900.0, le=1500, description="in hand, then back: the broker takes the channel from who holds one for 30 minutes"
    )
    audited: list[str] = Field(
        ["upload", "registration", "preview"], description="the broker's users whose audit records are kept"
    )
    largest_bytes: int = Field(1024 * 1024, description="a larger message is a dead letter")
    believed: list[str] = Field(
        ["upload", "registration"], description="the broker's users whose word about origin and context counts"
    )


class DeadLetterSettings(BaseModel):
    """How the dead letters are read. A reading, its wait and its work together stay below the gateway's 60 s."""

    busy_seconds: float = Field(10.0, description="the longest wait while another one reads them")
    read_seconds: float = Field(20.0, description="the longest reading; then the answer says that it is not complete")
    send_seconds: float = Field(15.0, description="the longest sending; what was not sent then is for another request")
    trial_seconds: float = Field(20.0, description="the longest trial; then the answer tells of those that were tried")
    handful: int = Field(1000, ge=1, le=65_535, description="letters that the broker sends before it is asked again")
    batch_bytes: int = Field(64 * 1024 * 1024, description="bodies in memory at once while letters are sent again")
    at_once: int = Field(32, ge=1, description="letters sent again at the same time")
    trial_chunk: int = Field(20, ge=1, description="letters tried in one transaction, which is rolled back")
    gauge_pause_seconds: float = Field(5.0, description="for the metric of how many there are")


class StatusSettings(BaseModel):
    """When `examflow status` says that a person is needed."""

    answer_seconds: float = Field(5.0, description="the longest wait for each of PostgreSQL, RabbitMQ and Orthanc")
    waiting_seconds: float = Field(3600.0, description="an image that has waited longer than this needs a person")
    refused_seconds: float = Field(86_400.0, description="a refusal is news for this long")
    outbox_seconds: float = Field(60.0, description="an announcement that is not sent after this needs a person")
    causes: int = Field(10, ge=1, description="causes shown at most")


class TrailSettings(BaseModel):
    """The audit trail's hash chain. How long records are kept is for the migrations: EXAMFLOW_AUDIT_RETENTION_DAYS."""

    commit_records: int = Field(1000, ge=1, description="records added in one transaction")
    gather_seconds: float = Field(0.1, ge=0, description="how long the records of a message wait for those of others")
    later_pause_seconds: float = Field(1.0, description="between two insertions of what strangers tried")
    seal_pause_seconds: float = Field(0.5, description="between looks for records that are not in the chain")
    seal_batch: int = Field(1000, ge=1, description="records put into the chain in one transaction")
    anchors: Path | None = Field(None, description="where the chain's head is written down; without, in the log alone")
    anchor_pause_seconds: float = Field(600.0, description="between two anchors")
    anchors_kept: int = Field(100_000, ge=100, description="of more, the older half is forgotten")
    prune_pause_seconds: float = Field(3600.0, description="between looks for records that are too old")
    prune_batch: int = Field(10_000, ge=1, description="records removed in one transaction")


class Settings(ServiceSettings):
    """Environment variables `EXAMFLOW_...`; see shared/settings.py for the groups."""

    database: DatabaseSettings
    internal_token: SecretStr = Field(
        description="what the preview service shows to ask about rights; two with a comma between while it is changed"
    )
    management_url: str | None = Field(
        None, description="RabbitMQ's HTTP interface, without credentials; where it is not given, bindings go unwatched"
    )
    event_wait_seconds: float = Field(2.0, description="how long HTTP waits for an instance's event to arrive")
    url_hosts: list[UrlHost] = Field([], description="https hosts that an image's url may name: names, no addresses")
    consumers_pause_seconds: float = Field(1.0, description="between looks at which consumers are paused")
    outbox_pause_seconds: float = Field(0.5, description="pause between looks into an empty outbox")
    outbox_batch: int = 200
    storage_pause_seconds: float = Field(15.0, description="pause between looks at Orthanc's storage use")
    facility_zone: FacilityZone = "UTC"
    messages: MessageSettings = MessageSettings()
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    reconciler: ReconcilerSettings = ReconcilerSettings()
    status: StatusSettings = StatusSettings()
    trail: TrailSettings = TrailSettings()

    def internal_tokens(self) -> list[str]:
        """Each of the tokens that are believed now."""
        return self.internal_token.get_secret_value().replace(",", " ").split()
