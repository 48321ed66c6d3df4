"""The preview service's settings."""

from pydantic import Field, SecretStr

from shared.settings import ServiceSettings
from shared.tls import Dependency


class RegistrationSettings(Dependency):
    """Where the registration service answers, and the service token it wants."""

    url: str
    token: SecretStr
    answer_seconds: float = 5.0
    connections: int = 40


class Settings(ServiceSettings):
    """Environment variables `EXAMFLOW_...`; see shared/settings.py for the groups."""

    registration: RegistrationSettings
    max_age_seconds: int = Field(300, description="how long a browser may show a preview without asking again")
    scaling_at_once: int = Field(2, ge=1, description="pictures scaled at the same time")
