"""TLS to the real Orthanc, RabbitMQ and PostgreSQL: the right authority and name work, all else is refused in words."""

import asyncio
import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from deploy.local import database as local_database
from deploy.local.layout import REPO
from deploy.local.system import System
from services.operator.broker_admin import administering
from services.operator.errors import OperatorError
from services.operator.settings import Settings as OperatorSettings
from services.registration_service import app as registration
from services.registration_service.bindings import Bindings
from services.registration_service.copies import Copies
from services.registration_service.database import Database
from services.registration_service.ops.dead_letters import DeadLetters
from services.registration_service.settings import DatabaseSettings, DeadLetterSettings, Settings
from shared.broker import exchange_answers, make_broker
from shared.orthanc import Orthanc
from shared.settings import BrokerSettings, OrthancSettings
from shared.tls import trouble
from tests import dicom_files
from tests.authorities import RIGHT_NAME, Vouched, vouched
from tests.integration import tls_servers
from tests.unit.settings import DATABASE, SHARED

UNTRUSTED = "its certificate is refused: unable to get local issuer certificate"
MISNAMED = "its certificate is refused: IP address mismatch, certificate is not valid for '127.0.0.1'"
REGISTRATION: dict[str, Any] = {**SHARED, "database": DATABASE, "internal_token": "t"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Vouched:
    return vouched(tmp_path_factory.mktemp("authorities"))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, files: Vouched) -> Iterator[System]:
    with tls_servers.serving(tmp_path_factory.mktemp("orthanc"), "orthanc", files) as system:
        yield system


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory, files: Vouched) -> Iterator[System]:
    with tls_servers.serving(tmp_path_factory.mktemp("rabbitmq"), "rabbitmq", files) as system:
        yield system


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory, files: Vouched) -> Iterator[System]:
    with tls_servers.serving(tmp_path_factory.mktemp("postgres"), "postgres", files) as system:
        yield system


def named(address: str) -> str:
    """The same place under the name that the certificate has."""
    return address.replace("127.0.0.1", RIGHT_NAME)


def wrong(files: Vouched, right: str, misnamed: str) -> Iterator[tuple[str, Path, str]]:
    """An address, whom to believe, and how it is refused."""
    yield right, files.other_ca, UNTRUSTED
    yield misnamed, files.ca, MISNAMED


async def ready(app: FastAPI, what: str) -> str:
    """What the service says of one server while it runs."""
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        for _ in range(50):
            said = str((await client.get("http://test/health/ready")).json()["checks"][what])
            if "certificate" in said:  # the broker is tried in the background
                break
            await asyncio.sleep(0.1)
        return said


async def test_orthanc(orthanc: System, files: Vouched) -> None:
    def settings(url: str, ca: Path) -> OrthancSettings:
        known = {"url": f"https://{url}", "user": "upload", "password": orthanc.secrets.orthanc_upload, "ca_file": ca}
        return OrthancSettings.model_validate(known)

    right, content = named(orthanc.backing.orthanc), dicom_files.fresh("CT_small.dcm")
    async with contextlib.aclosing(Orthanc(settings(right, files.ca))) as client:
        stored = await client.store(content)
        assert await client.digest(stored.instance_id) == hashlib.md5(content).hexdigest()
    for url, ca, words in wrong(files, right, orthanc.backing.orthanc):
        async with contextlib.aclosing(Orthanc(settings(url, ca))) as client:
            with pytest.raises(Exception) as refused:  # noqa: PT011  # the words are what counts
                await client.answers()
        assert (trouble(refused.value) or "").startswith(words)
        app = registration.create_app(Settings(**{**REGISTRATION, "orthanc": settings(url, ca)}))
        assert words in await ready(app, "orthanc")


async def test_rabbitmq(rabbitmq: System, files: Vouched) -> None:
    def settings(address: str, ca: Path, user: str = "registration") -> BrokerSettings:
        url = f"amqps://{user}:{rabbitmq.secrets.of('rabbitmq')[user]}@{address}/"
        return BrokerSettings.model_validate({"url": url, "ca_file": ca})

    right = named(rabbitmq.backing.amqp)
    good = settings(right, files.ca)
    broker, nowhere = make_broker(good, "test"), Database(DatabaseSettings.model_validate(DATABASE))
    await broker.start()
    await exchange_answers(broker, good)
    async with DeadLetters(good, Copies(broker, good), nowhere, DeadLetterSettings())._connected() as another:
        await another.channel()
    await broker.stop()
    for address, ca, words in wrong(files, right, rabbitmq.backing.amqp):
        app = registration.create_app(Settings(**{**REGISTRATION, "broker": settings(address, ca)}))
        assert words in await ready(app, "rabbitmq")


async def test_rabbitmqs_management(rabbitmq: System, files: Vouched) -> None:
    def bindings(address: str, ca: Path) -> Bindings:
        url = f"amqps://registration:{rabbitmq.secrets.rabbitmq_registration}@rabbitmq/"
        return Bindings(BrokerSettings.model_validate({"url": url, "ca_file": ca}), f"https://{address}")

    right = named(rabbitmq.backing.management)
    await bindings(right, files.ca).answers()
    for address, ca, words in wrong(files, right, rabbitmq.backing.management):
        with pytest.raises(httpx.ConnectError) as refused:
            await bindings(address, ca).answers()
        assert (trouble(refused.value) or "").startswith(words)


def test_the_operators_command_too(rabbitmq: System, files: Vouched) -> None:
    def settings(address: str, ca: Path) -> OperatorSettings:
        url = SecretStr(f"https://admin:{rabbitmq.secrets.rabbitmq_admin}@{address}")
        return OperatorSettings(rabbitmq_management_url=url, examflow_ca_file=ca)

    right = named(rabbitmq.backing.management)
    with administering(settings(right, files.ca)) as admin:
        assert admin.find("/overview")
    for address, ca, _ in wrong(files, right, rabbitmq.backing.management):
        with administering(settings(address, ca)) as admin, pytest.raises(OperatorError, match="certificate"):
            admin.find("/overview")


async def test_postgresql(postgres: System, files: Vouched) -> None:
    def settings(address: str, ca: Path, user: str = "registration") -> DatabaseSettings:
        url = f"postgresql+asyncpg://{user}:{postgres.secrets.of('postgres')[user]}@{address}/examflow"
        return DatabaseSettings.model_validate({"url": f"{url}?sslmode=verify-full", "ca_file": ca})

    local_database.make_roles(postgres)
    right = named(postgres.backing.postgres)
    migrated = _migrate(settings(right, files.ca, "examflow"))
    assert migrated.returncode == 0, migrated.stderr
    async with contextlib.aclosing(Database(settings(right, files.ca))) as database:
        await database.answers()
    for address, ca, words in wrong(files, right, postgres.backing.postgres):
        app = registration.create_app(Settings(**{**REGISTRATION, "database": settings(address, ca)}))
        assert words in await ready(app, "postgresql")
        refused = _migrate(settings(address, ca, "examflow"))
        assert refused.returncode == 1
        assert "certificate verify failed" in refused.stderr
        assert postgres.secrets.postgres_examflow not in refused.stderr


def _migrate(settings: DatabaseSettings) -> subprocess.CompletedProcess[str]:
    environment = {
        "EXAMFLOW_DATABASE__URL": settings.url.get_secret_value(),
        "EXAMFLOW_CA_FILE": str(settings.ca_file),
    }
    command = [sys.executable, "-m", "alembic", "-c", str(local_database.ALEMBIC), "upgrade", "head"]
    return subprocess.run(
        command, cwd=REPO, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
