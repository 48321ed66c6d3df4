"""Writes the documents that are made from the code: OpenAPI of each service, JSON Schema of each event, AsyncAPI.

`python docs/generate.py` writes them; with `--check` it only says which differ from what is committed, and exits 1.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from docs import asyncapi
from services.preview_service import app as preview
from services.preview_service.settings import RegistrationSettings, RightsSettings
from services.preview_service.settings import Settings as PreviewSettings
from services.registration_service import app as registration
from services.registration_service.settings import DatabaseSettings
from services.registration_service.settings import Settings as RegistrationServiceSettings
from services.upload_service import app as upload
from services.upload_service.settings import Settings as UploadSettings
from shared.events import Event, EventData
from shared.settings import BrokerSettings, OrthancSettings, TokenSettings

DOCS = Path(__file__).parent
NOWHERE = SecretStr("nowhere")


def openapi() -> Iterator[tuple[str, dict[str, Any]]]:
    """The OpenAPI document of each service; nothing is opened for it."""
    shared: dict[str, Any] = {
        "orthanc": OrthancSettings(url="http://orthanc", user="nobody", password=NOWHERE),
        "broker": BrokerSettings(url=SecretStr("amqp://nobody@rabbitmq/")),
        "tokens": TokenSettings(jwks="jwks.json", issuer="issuer", audience="examflow"),
    }
    yield "upload", upload.create_app(UploadSettings(**shared)).openapi()
    database = DatabaseSettings(url=SecretStr("postgresql+asyncpg://nobody@postgres/examflow"))
    settings = RegistrationServiceSettings(**shared, database=database, internal_token=NOWHERE)
    yield "registration", registration.create_app(settings).openapi()
    asked = RegistrationSettings(url="http://registration", token=NOWHERE)
    rights = RightsSettings(url=SecretStr("amqp://nobody@rabbitmq/"))
    yield "preview", preview.create_app(PreviewSettings(**shared, registration=asked, rights=rights)).openapi()


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """The JSON Schema of each event, envelope and data."""
    for data in EventData.__subclasses__():
        schema = Event[data].model_json_schema(by_alias=True)  # type: ignore[valid-type]  # a class found at run time
        schema["properties"]["type"] = {"const": data.event_type}
        yield data.event_type, {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def documents() -> Iterator[tuple[Path, str]]:
    """Each document's path and text."""
    for name, document in openapi():
        yield DOCS / "openapi" / f"{name}.json", _text(document)
    for name, schema in schemas():
        yield DOCS / "events" / f"{name}.schema.json", _text(schema)
    yield DOCS / "asyncapi.json", _text(asyncapi.document())


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write, or compare."""
    stale = [path for path, text in documents() if not path.exists() or path.read_text() != text]
    if "--check" not in sys.argv:
        for path, text in documents():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        stale = []
    for path in stale:
        print(f"{path.relative_to(DOCS.parent)} is not what the code says: run 'make docs' and commit it")  # noqa: T201
    sys.exit(bool(stale))


if __name__ == "__main__":
    main()
