"""Where the command finds Examflow: environment variables, the same names as in `.run/env`."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Addresses and credentials; each command says which it needs and lacks."""

    model_config = SettingsConfigDict(env_prefix="", extra="ignore")

    examflow_url: str = Field("http://localhost:8080", description="the gateway")
    examflow_token: SecretStr | None = Field(None, description="a bearer token with the scope ops")
    examflow_answer_seconds: float = Field(60.0, description="the longest wait for one answer")
    rabbitmq_management_url: SecretStr | None = Field(
        None, description="RabbitMQ's HTTP interface as administrator, http://user:password@host:port: partners need it"
    )
    rabbitmq_url: SecretStr | None = Field(None, description="AMQP: a new partner is told its host and port")
