"""Who may look at an instance: registration knows its exam and uploaders, shared/permission.py decides."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_aiohttp import HttpxAiohttpClient
from prometheus_client import Counter
from pydantic import ValidationError

from services.preview_service.errors import Gone, RightsOutdated, UrlOvertaken
from services.preview_service.remembered import Asked, Known, Remembered
from services.preview_service.settings import RegistrationSettings
from shared.correlation import HEADER, correlation_id
from shared.errors import InstanceUnknown, RegistrationAway
from shared.permission import Caller, may_see_instance

OUTDATED = Counter("examflow_rights_outdated", "Answers of registration that were older than what it had told")


@dataclass(frozen=True)
class Instance:
    """An instance that the caller may see."""

    orthanc_id: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    digest: str
    modality: str
    exam_id: str | None
    epoch: int | None = None


class Access:
    """Asks registration about an instance, unless its last answer still holds; each request is decided anew.

    `purge` is called with the digest of one that turns out to be deleted.
    """

    def __init__(
        self, settings: RegistrationSettings, remembered: Remembered, purge: Callable[[str], Awaitable[None]]
    ) -> None:
        self._remembered = remembered
        self._purge = purge
        self._siblings = settings.siblings
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
        """The instance by its Orthanc id. Raises InstanceUnknown, Gone, RightsOutdated or RegistrationAway."""
        return await self._seen(caller, f"/internal/instances/{orthanc_id}")

    async def sop_instance(self, caller: Caller, sop_instance_uid: str) -> Instance:
        """The same by its SOP Instance UID."""
        return await self._seen(caller, f"/internal/sop-instances/{sop_instance_uid}")

    async def signed(self, orthanc_id: str, holds: Callable[[Known], bool]) -> Instance:
        """The instance of a signed URL. `holds` says whether exam and epoch are those that it was signed for.

        It may be newer than what is remembered here: it has ended only where registration says so now.
        Raises UrlOvertaken, and what `instance` does.
        """
        question = f"/internal/instances/{orthanc_id}"
        known = self._remembered.find(question)
        if known is None or not holds(known):
            known = await self._learn(question)
            if not holds(known):
                raise UrlOvertaken().hiding(known.exam_id, known.sop_instance_uid)
        return await self._there(known)

    async def answers(self) -> None:
        """Readiness: a round trip to registration under the service token, whatever is remembered."""
        try:
            await self._ask("/internal/instances/readiness")
        except InstanceUnknown:
            return

    async def _seen(self, caller: Caller, question: str) -> Instance:
        known = self._remembered.find(question) or await self._learn(question)
        if not may_see_instance(caller, known.principals, known.uploaders):
            raise InstanceUnknown().hiding(known.exam_id, known.sop_instance_uid)
        return await self._there(known)

    async def _there(self, known: Known) -> Instance:
        digest = known.digest or known.orthanc_id
        if known.state == "deleted":
            await self._purge(digest)
            raise Gone
        return Instance(
            known.orthanc_id,
            known.study_instance_uid,
            known.series_instance_uid,
            known.sop_instance_uid,
            digest,
            known.modality or "UNKNOWN",
            known.exam_id,
            known.epoch,
        )

    async def _learn(self, question: str) -> Known:
        """Registration's answer of now. One that was overtaken by a change of rights is asked for once more."""
        for _ in range(2):
            asked = self._remembered.asked()
            known = await self._ask(question)
            if not self._remembered.is_outdated(known):
                self._keep(question, known, asked)
                return known
            OUTDATED.inc()
        raise RightsOutdated

    def _keep(self, question: str, known: Known, asked: Asked) -> None:
        """Its siblings too, as if they had been asked for in the same words; itself last, as the one used last."""
        by, _, of = question.rpartition("/")
        for sibling in known.siblings:
            its = sibling.orthanc_id if of == known.orthanc_id else sibling.sop_instance_uid
            self._remembered.keep(f"{by}/{its}", known.like(sibling), asked)
        self._remembered.keep(question, known.alone(), asked)

    async def _ask(self, question: str) -> Known:
        try:
            return Known.model_validate_json(await self.ask(f"{question}?siblings={self._siblings}"))
        except ValidationError as error:
            raise RegistrationAway from error

    async def ask(self, question: str, body: dict[str, Any] | None = None) -> bytes:
        """What registration answers, as it is; with a body, to a POST. Raises InstanceUnknown or RegistrationAway."""
        try:
            answer = await self._http.request(
                "POST" if body else "GET", question, json=body, headers={HEADER: correlation_id.get() or ""}
            )
        except httpx.TransportError as error:
            raise RegistrationAway from error
        if answer.status_code == 404:
            raise InstanceUnknown
        if answer.status_code != 200:
            raise RegistrationAway
        return answer.content
