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
    remembered_bytes: int = Field(4096, description="a longer answer (an exam of many principals) is not kept")
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


class Settings(ServiceSettings):
    """Environment variables `EXAMFLOW_...`; see shared/settings.py for the groups."""

    registration: RegistrationSettings
    rights: RightsSettings
    cache: CacheSettings = CacheSettings()
    render: RenderSettings = RenderSettings()
    warming: WarmingSettings = WarmingSettings()
    max_age_seconds: int = Field(300, description="how long a browser may show a preview without asking again")
