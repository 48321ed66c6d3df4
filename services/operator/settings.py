"""Where the command finds Examflow: environment variables, the same names as in `.run/env`."""

import ssl
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.operator.errors import OperatorError
from shared.secret_files import SettingsWithFiles
from shared.tls import Dependency


class Settings(SettingsWithFiles):
    """Addresses and credentials, each of these also as `..._FILE`; a command says which it needs and lacks."""

    model_config = SettingsConfigDict(env_prefix="", extra="ignore", hide_input_in_errors=True)

    examflow_url: str = Field("http://localhost:8080", description="the gateway")
    examflow_token: SecretStr | None = Field(None, description="a bearer token with the scope ops")
    examflow_ca_file: Path | None = Field(None, description="PEM of the authorities that vouch for both")
    examflow_answer_seconds: float = Field(60.0, description="the longest wait for one answer")
    rabbitmq_management_url: SecretStr | None = Field(
        None, description="RabbitMQ's HTTP interface as administrator, http://user:password@host:port: partners need it"
    )
    rabbitmq_url: SecretStr | None = Field(None, description="AMQP: a new partner is told its host and port")

    def tls(self) -> ssl.SSLContext:
        """Whom to believe about a server's certificate."""
        try:
            return Dependency(ca_file=self.examflow_ca_file).tls()
        except OSError as error:
            raise OperatorError(f"EXAMFLOW_CA_FILE ({self.examflow_ca_file}) holds no certificates in PEM.") from error
