"""Settings of services that reach nothing: no server listens there, and no test here needs one."""

from typing import Any

NOWHERE = "127.0.0.1:1"
SHARED: dict[str, Any] = {
    "orthanc": {"url": f"http://{NOWHERE}", "user": "somebody", "password": "secret"},
    "broker": {"url": f"amqp://somebody:secret@{NOWHERE}/"},
    "tokens": {"jwks": "/nowhere/jwks.json", "issuer": "https://issuer.test", "audience": "examflow"},
}
DATABASE: dict[str, Any] = {"url": f"postgresql+asyncpg://somebody:secret@{NOWHERE}/examflow"}
