"""Settings of the adapters, for one account on the servers of a system."""

from typing import Any

from pydantic import SecretStr

from deploy.local.system import System
from services.registration_service.settings import DatabaseSettings
from shared.settings import BrokerSettings, OrthancSettings


def orthanc(system: System, user: str, **others: Any) -> OrthancSettings:
    url, password = f"http://{system.backing.orthanc}", system.secrets.of("orthanc")[user]
    return OrthancSettings.model_validate({"url": url, "user": user, "password": password} | others)


def broker(system: System, user: str, **others: Any) -> BrokerSettings:
    return BrokerSettings.model_validate({"url": system.broker_url(user)} | others)


def database_url(system: System, name: str, user: str = "registration") -> str:
    """`postgres` is the superuser, whose password goes by another name."""
    password = system.secrets.of("postgres")["admin" if user == "postgres" else user]
    return f"postgresql+asyncpg://{user}:{password}@{system.backing.postgres}/{name}"


def database(system: System, name: str, **others: Any) -> DatabaseSettings:
    return DatabaseSettings.model_validate({"url": SecretStr(database_url(system, name))} | others)
