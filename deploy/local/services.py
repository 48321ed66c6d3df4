"""The environment of the services: addresses, passwords and limits as pydantic-settings reads them."""

from deploy.local.ports import HOST
from deploy.local.system import System

ISSUER = "https://issuer.examflow.local"
AUDIENCE = "examflow"
# The name under which each service is known to the servers; the reconciler is a part of registration.
ACCOUNTS = {"upload": "upload", "registration": "registration", "preview": "preview", "reconciler": "registration"}


def service_environment(system: System, name: str) -> dict[str, str]:
    """What one service is started with."""
    account = ACCOUNTS[name]
    environment = _uvicorn(getattr(system.ports, name)) | {
        "EXAMFLOW_ORTHANC__URL": f"http://{system.backing.orthanc}",
        "EXAMFLOW_ORTHANC__USER": account,
        "EXAMFLOW_ORTHANC__PASSWORD": system.secrets.of("orthanc")[account],
        "EXAMFLOW_BROKER__URL": system.broker_url(account),
        "EXAMFLOW_TOKENS__JWKS": str(system.layout.jwks),
        "EXAMFLOW_TOKENS__ISSUER": ISSUER,
        "EXAMFLOW_TOKENS__AUDIENCE": AUDIENCE,
        "EXAMFLOW_AUDIT__SPOOL": str(system.layout.audit),
    }
    if account == "registration":
        environment["EXAMFLOW_DATABASE__URL"] = system.database_url("registration", "postgresql+asyncpg")
        environment["EXAMFLOW_MANAGEMENT_URL"] = f"http://{system.backing.management}"
        environment["EXAMFLOW_TRAIL__ANCHORS"] = str(system.layout.audit / "anchors.jsonl")
        environment["EXAMFLOW_INTERNAL_TOKEN"] = system.secrets.internal_token
    if name == "preview":
        environment["UVICORN_HTTP"] = "httptools"
        environment["EXAMFLOW_RIGHTS__URL"] = system.broker_url("preview_rights")
        environment["EXAMFLOW_REGISTRATION__URL"] = system.service_url("registration")
        environment["EXAMFLOW_REGISTRATION__TOKEN"] = system.secrets.internal_token
        environment["EXAMFLOW_SIGNED__SECRET"] = system.secrets.signed_url_secret
        environment["EXAMFLOW_CACHE__FOLDER"] = str(system.layout.pictures)
    if name == "upload":
        environment["EXAMFLOW_UPLOAD_LIMIT"] = str(system.upload_limit)
    return environment | system.settings


def _uvicorn(port: int) -> dict[str, str]:
    return {
        "PYTHONUNBUFFERED": "1",
        # Memory that was given back goes back: threads share two heaps, and large blocks are mapped each by itself.
        "MALLOC_ARENA_MAX": "2",
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "UVICORN_HOST": HOST,
        "UVICORN_PORT": str(port),
        "UVICORN_LOOP": "uvloop",
        "UVICORN_HTTP": "h11",
        "UVICORN_ACCESS_LOG": "false",
        "UVICORN_SERVER_HEADER": "false",
        "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "20",
        "UVICORN_FORWARDED_ALLOW_IPS": HOST,
    }
