"""The preview service's settings."""

from pydantic import Field, SecretStr

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


class Settings(ServiceSettings):
    """Environment variables `EXAMFLOW_...`; see shared/settings.py for the groups."""

    registration: RegistrationSettings
    rights: RightsSettings
    max_age_seconds: int = Field(300, description="how long a browser may show a preview without asking again")
    scaling_at_once: int = Field(2, ge=1, description="pictures scaled at the same time")
