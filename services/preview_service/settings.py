"""The preview service's settings."""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

from shared.settings import BrokerSettings, ServiceSettings
from shared.tls import Dependency


class RegistrationSettings(Dependency):
    """Where the registration service answers, the service token it wants, and how long its answers are kept."""

    url: str
    token: SecretStr
    answer_seconds: float = 5.0
    connections: int = 40
    remembered: int = Field(10_000, ge=0, description="answers kept at once, about registered images alone")
    remembered_seconds: float = Field(
        30.0, ge=0, le=30, description="the longest: so late holds a change of rights while the broker is away"
    )
    remembered_characters: int = Field(
        4096, description="an answer with longer names (an exam of many principals) is not kept"
    )
    siblings: int = Field(
        100,
        ge=0,
        le=1000,
        description="images of a series and exam that one answer tells of; 0: one",
    )
    told: int = Field(10_000, ge=1, description="exams whose last change of rights is remembered")
    told_seconds: float = Field(60.0, description="for so long; no answer is on its way for longer")


class RightsSettings(BrokerSettings):
    """RabbitMQ, with an account that may hold a rights queue and nothing else."""

    believed: str = Field("registration", description="the broker's user whose word about rights counts")
    again_seconds: float = Field(1.0, description="pause before a lost connection is made anew")
    look_seconds: float = Field(5.0, description="between looks whether the queue is still consumed from")


class CacheSettings(BaseModel):
    """How many pictures are kept, and how long."""

    folder: Path = Field(Path("/var/cache/examflow/pictures"), description="of this process alone")
    memory_bytes: int = Field(64 * 1024 * 1024, ge=0, description="bytes of pictures in memory")
    disk_bytes: int = Field(10 * 1024 * 1024 * 1024, ge=0, description="bytes of pictures on disk")
    disk_pictures: int = Field(100_000, ge=0, description="pictures on disk; each takes some 400 bytes of memory")
    read_by_others: bool = Field(
        default=False, description="the folder is a volume that the gateway has too, whose user is another"
    )
    gateway_bytes: int = Field(1024, ge=0, description="a picture of fewer is not sent by the gateway from the disk")
    days: float = Field(30.0, description="so long after it was made, no picture is kept on disk")


class RenderSettings(BaseModel):
    """How Orthanc is asked for pictures."""

    at_once: int = Field(4, ge=1, description="renders at once: Orthanc 1.10 does four at a time")
    waiting: int = Field(1000, ge=0, description="renders that wait for their turn; more are refused")
    seconds: float = Field(30.0, gt=0, description="the longest render")
    scaling_at_once: int = Field(2, ge=1, description="pictures scaled at the same time")
    no_picture_seconds: float = Field(
        300.0, ge=0, description="how long a frame without a picture is not asked for again"
    )
    no_frame_seconds: float = Field(5.0, ge=0, description="the same of a frame that does not exist")


class WarmingSettings(BaseModel):
    """How pictures are made ahead, and when not."""

    on: bool = True
    thumbnail: int = Field(256, ge=1, le=2048, description="the box of the small picture, in pixels")
    at_once: int = Field(1, ge=1, description="images at once")
    pouring_per_second: float = Field(5.0, description="while more images than this come in, it stands back")
    backlog: int = Field(50, description="while more events than this wait for registration, it stands back")
    patience_seconds: float = Field(10.0, description="but for one image after so long")
    look_seconds: float = Field(1.0, gt=0, description="between looks at the queues")
    attempts: int = Field(12, ge=1, description="while Orthanc is away")
    again_seconds: float = Field(5.0, description="pause before the next attempt")


class DownloadSettings(BaseModel):
    """The slowest that a file, or another answer that flows, may be taken."""

    window_seconds: float = Field(15.0, gt=0, description="the longest pause of the reader; what is averaged over")
    least_rate: int = Field(16 * 1024, ge=0, description="bytes a second, averaged over a window of waiting")


class DicomwebSettings(BaseModel):
    """How much DICOMweb is answered with."""

    results: int = Field(1000, ge=1, description="results of one search, also where it names no limit")
    visible: int = Field(5000, ge=1, description="studies, series or images, the newest, that a search looks among")
    images: int = Field(20_000, ge=1, le=50_000, description="images of a study or series that are given at once")
    uids_at_once: int = Field(100, ge=1, description="UIDs in one question to Orthanc")
    ahead: int = Field(4, ge=1, description="images whose metadata is read ahead, for one request")
    at_once: int = Field(
        4, ge=1, description="searches; images decoded; images whose metadata is read: of each, at once"
    )
    metadata_most: int = Field(4 * 1024 * 1024, ge=1, description="bytes of one image's metadata")
    metadata_bytes: int = Field(32 * 1024 * 1024, ge=0, description="metadata kept in memory")
    frames: int = Field(100, ge=1, description="frames in one request")
    decoded_bytes: int = Field(
        256 * 1024 * 1024,
        ge=0,
        description="a file whose pixels take more is not decoded: Orthanc holds them in memory",
    )
    patience_seconds: float = Field(10.0, gt=0, description="the longest wait for a turn at a search, or at decoding")
    public_url: str | None = Field(
        None, pattern=r"^https?://[^/]+(/.*[^/])?$", description="where clients see the gateway; None: as they say it"
    )


class SignedSettings(BaseModel):
    """Signed URLs of pictures, for a CDN to stand in front; without a secret none are given out."""

    secret: SecretStr | None = Field(
        None, description="signs them; two with a comma between while it is changed: the first signs, both are believed"
    )
    window_seconds: int = Field(300, ge=2, le=3600, description="a URL holds for one to two of these")
    shared_seconds: int = Field(
        30, ge=0, le=300, description="a shared cache may show a picture so long without asking"
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://\S*[^\s/])?$",
        description="what stands before the path of a URL: where the CDN answers",
    )

    def secrets(self) -> list[str]:
        """Each of the secrets that are believed now."""
        return self.secret.get_secret_value().replace(",", " ").split() if self.secret else []


class Settings(ServiceSettings):
    """Environment variables `EXAMFLOW_...`; see shared/settings.py for the groups."""

    registration: RegistrationSettings
    rights: RightsSettings
    cache: CacheSettings = CacheSettings()
    render: RenderSettings = RenderSettings()
    warming: WarmingSettings = WarmingSettings()
    dicomweb: DicomwebSettings = DicomwebSettings()
    signed: SignedSettings = SignedSettings()
    downloads: DownloadSettings = DownloadSettings()
    max_age_seconds: int = Field(300, description="how long a browser may show a preview without asking again")
