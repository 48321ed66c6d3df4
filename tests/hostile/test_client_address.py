"""The address that the audit trail is told is the one that the gateway saw, whatever the client says of itself."""

import httpx
import pytest
from aio_pika.abc import AbstractChannel

from deploy.local.system import System
from shared.events import DicomStored, Event
from tests.dicom_files import fresh
from tests.hostile.besieged import Besieged
from tests.integration.queues import channel_of, own_queue, take

FORGED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Real-IP": "203.0.113.9",
    "Forwarded": "for=203.0.113.9",
    "X-Forwarded-Proto": "https",
}


async def told(channel: AbstractChannel, besieged: Besieged, url: str, headers: dict[str, str]) -> str | None:
    """The remoteIP in the event of an upload with these headers."""
    headers = {"Authorization": f"Bearer {besieged.running.token('alice')}", **headers}
    async with own_queue(channel, "dicom.stored") as queue, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        files = {"file": ("a.dcm", fresh("CT_small.dcm"), "application/dicom")}
        answer = await client.post("/dicom/upload", files=files, headers=headers, timeout=60)
        assert answer.status_code == 201, answer.text
        while True:
            data = Event[DicomStored].model_validate_json((await take(queue)).body).data
            if data.orthanc_instance_id == answer.json()["data"]["ID"]:
                return data.origin.remote_ip


@pytest.mark.parametrize("forged", ["203.0.113.9", "203.0.113.9, 127.0.0.1", "127.0.0.1, 203.0.113.9", "x, y", ""])
async def test_a_client_cannot_say_where_it_is(besieged: Besieged, forged: str) -> None:
    async with channel_of(besieged.system, "admin") as channel:
        headers = {**FORGED, "X-Forwarded-For": forged}
        assert await told(channel, besieged, besieged.system.url, headers) == "127.0.0.1"


@pytest.mark.parametrize(
    ("said", "believed"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("203.0.113.9, 198.51.100.7", "198.51.100.7"),  # what the client wrote stands left of what the proxy saw
        ("203.0.113.9, 198.51.100.7, 127.0.0.1", "198.51.100.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("nonsense", "127.0.0.1"),
    ],
)
async def test_a_trusted_proxy_can_say_whom_it_speaks_for(
    besieged: Besieged, narrow: System, said: str, believed: str
) -> None:
    async with channel_of(besieged.system, "admin") as channel:
        assert await told(channel, besieged, narrow.url, {"X-Forwarded-For": said}) == believed
