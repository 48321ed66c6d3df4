"""Who may look at an instance: registration knows its exam and uploaders, shared/permission.py decides."""

from dataclasses import dataclass

import httpx
from httpx_aiohttp import HttpxAiohttpClient

from services.preview_service.errors import Gone
from services.preview_service.settings import RegistrationSettings
from shared.correlation import HEADER, correlation_id
from shared.errors import InstanceUnknown, RegistrationAway
from shared.permission import Caller, may_see_instance


@dataclass(frozen=True)
class Instance:
    """An instance that the caller may see."""

    orthanc_id: str
    sop_instance_uid: str
    digest: str
    modality: str
    exam_id: str | None


class Access:
    """Asks registration about an instance for each request, so that a change of rights holds at once."""

    def __init__(self, settings: RegistrationSettings) -> None:
        self._http = HttpxAiohttpClient(
            base_url=settings.url,
            headers={"Authorization": f"Bearer {settings.token.get_secret_value()}"},
            verify=settings.tls(),
            timeout=settings.answer_seconds,
            limits=httpx.Limits(max_connections=settings.connections, keepalive_expiry=4.0),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def instance(self, caller: Caller, orthanc_id: str) -> Instance:
        """The instance by its Orthanc id. Raises InstanceUnknown, Gone or RegistrationAway."""
        return await self._seen(caller, f"/internal/instances/{orthanc_id}")

    async def sop_instance(self, caller: Caller, sop_instance_uid: str) -> Instance:
        """The instance by its SOP Instance UID. Raises InstanceUnknown, Gone or RegistrationAway."""
        return await self._seen(caller, f"/internal/sop-instances/{sop_instance_uid}")

    async def answers(self) -> None:
        """Readiness: a round trip to registration under the service token."""
        try:
            await self._seen(Caller("readiness"), "/internal/instances/readiness")
        except InstanceUnknown:
            return

    async def _seen(self, caller: Caller, path: str) -> Instance:
        try:
            answer = await self._http.get(path, headers={HEADER: correlation_id.get() or ""})
        except httpx.TransportError as error:
            raise RegistrationAway from error
        if answer.status_code == 404:
            raise InstanceUnknown
        if answer.status_code != 200:
            raise RegistrationAway
        found = answer.json()
        if not may_see_instance(caller, found["principals"], found["uploaders"]):
            raise InstanceUnknown
        if found["state"] == "deleted":
            raise Gone
        return Instance(
            found["orthancInstanceId"],
            found["sopInstanceUID"],
            found["digest"] or found["orthancInstanceId"],
            found["modality"] or "UNKNOWN",
            found["examenID"],
        )
