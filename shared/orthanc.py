"""Orthanc's REST API, as far as two services need it. Success is only what Orthanc's own contract calls success."""

import contextlib
import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import httpx
from httpx_aiohttp import HttpxAiohttpClient

from shared.errors import OrthancAway, OrthancNonsense, OrthancSlow, StorageFull, StoreFailed, StoreRefused
from shared.settings import OrthancSettings

PARKED = "1024"  # the user metadata in which an upload's context waits while the broker is away
# An entity tag that no value has: Orthanc asks for a match where a value stands, and for nothing where none does.
_NO_REVISION = '"0-none"'
STORAGE_FULL = 14  # OrthancStatus of a full disk, sent with HTTP 500 by 1.10 and with 507 later


@dataclass(frozen=True)
class Stored:
    """Where an image stands in Orthanc after a store."""

    instance_id: str
    patient_id: str
    study_id: str
    series_id: str
    status: Literal["Success", "AlreadyStored"]
    path: str


@dataclass(frozen=True)
class Identity:
    """What an instance in Orthanc is called in DICOM, and where it came from."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    accession_number: str | None
    modality: str | None


class Orthanc:
    """A client of one Orthanc; opens nothing before its first request."""

    def __init__(self, settings: OrthancSettings) -> None:
        self._http = HttpxAiohttpClient(
            base_url=settings.url,
            auth=(settings.user, settings.password.get_secret_value()),
            # A fixed set of our own headers; Orthanc would compress every answer, pictures too.
            headers={"Accept-Encoding": "identity"},
            verify=settings.tls(),
            timeout=httpx.Timeout(settings.answer_seconds, connect=settings.connect_seconds),
            # Orthanc closes an idle connection after one second.
            limits=httpx.Limits(max_connections=settings.connections, keepalive_expiry=0.8),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def store(self, content: bytes | AsyncIterable[bytes]) -> Stored:
        """POST one DICOM file. Raises StoreRefused, StorageFull, StoreFailed, OrthancNonsense or OrthancAway."""
        answer = await self._ask("POST", "/instances", content=content, content_type="application/dicom")
        if answer.status_code in (400, 404):  # 404: it finds no identity in it
            raise StoreRefused
        if answer.status_code == 507 or (answer.status_code == 500 and _status(answer) == STORAGE_FULL):
            raise StorageFull
        if answer.status_code >= 500:
            raise StoreFailed(what=f"HTTP {answer.status_code} to a store")
        if answer.status_code != 200:
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a store")
        return _stored(_object(answer))

    async def digest(self, instance_id: str) -> str | None:
        """The MD5 of the stored file in hex; None where there is no such instance."""
        answer = await self._get(f"/instances/{instance_id}/attachments/dicom/md5")
        return None if answer is None else answer.text.strip()

    async def size(self, instance_id: str) -> int | None:
        """The bytes of the stored file; None where there is no such instance."""
        answer = await self._get(f"/instances/{instance_id}/attachments/dicom/size")
        if answer is not None and not answer.text.strip().isdigit():
            raise OrthancNonsense(what="no size of a file")
        return None if answer is None else int(answer.text)

    async def identity(self, instance_id: str) -> Identity | None:
        """The UIDs of an instance; None where Orthanc has none of that id."""
        instance = await self._tags(f"/instances/{instance_id}")
        series = await self._tags(f"/instances/{instance_id}/series")
        study = await self._tags(f"/instances/{instance_id}/study")
        if instance is None or series is None or study is None:
            return None
        try:
            return Identity(
                study["StudyInstanceUID"],
                series["SeriesInstanceUID"],
                instance["SOPInstanceUID"],
                study.get("AccessionNumber") or None,
                series.get("Modality") or None,
            )
        except KeyError as missing:
            raise OrthancNonsense(what=f"an instance without {missing}") from None

    async def render(
        self, instance_id: str, frame: int, quality: int, content_type: str, window: tuple[float, float] | None = None
    ) -> httpx.Response:
        """Orthanc's answer to a preview of one frame (from 0): 200 with a picture, 404, or 415 where there is none.

        `window`: center and width of the values that are shown.
        """
        path, params = f"/instances/{instance_id}/frames/{frame}", dict[str, str | int](quality=quality)
        if window is None:
            return await self._ask("GET", f"{path}/preview", params=params, accept=content_type)
        params |= {"window-center": f"{window[0]:g}", "window-width": f"{window[1]:g}"}
        return await self._ask("GET", f"{path}/rendered", params=params, accept=content_type)

    async def frames(self, instance_id: str) -> int | None:
        """How many frames an instance has, at least one; None where there is no such instance."""
        found = await self.read(f"/instances/{instance_id}/frames")
        if found is not None and not isinstance(found, list):
            raise OrthancNonsense(what="no list of frames")
        return None if found is None else max(1, len(found))

    @contextlib.asynccontextmanager
    async def file(self, instance_id: str) -> AsyncIterator[httpx.Response | None]:
        """The DICOM file as an open stream; None where there is no such instance."""
        try:
            async with self._http.stream("GET", f"/instances/{instance_id}/file") as answer:
                if answer.status_code not in (200, 404):
                    raise OrthancNonsense(what=f"HTTP {answer.status_code} to a download")
                yield answer if answer.status_code == 200 else None
        except httpx.TransportError as error:
            raise OrthancAway from error

    async def metadata(self, instance_id: str, number: str) -> str | None:
        """A metadata value of an instance; None where there is none, or no such instance."""
        answer = await self._get(f"/instances/{instance_id}/metadata/{number}")
        return None if answer is None else answer.text

    async def add_metadata(self, instance_id: str, number: str, text: str) -> bool:
        """Write a metadata value where none stands, else return False. Of several writers at once one does."""
        path = f"/instances/{instance_id}/metadata/{number}"
        answer = await self._ask("PUT", path, content=text.encode(), headers={"If-Match": _NO_REVISION})
        if answer.status_code not in (200, 409):
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a metadata value")
        return answer.status_code == 200

    async def delete_metadata(self, instance_id: str, number: str) -> None:
        """Take a metadata value away; none standing there is as good."""
        answer = await self._ask("DELETE", f"/instances/{instance_id}/metadata/{number}")
        if answer.status_code not in (200, 404):
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a metadata value's end")

    async def read(self, path: str, **params: str | int) -> Any | None:
        """The JSON of any address; None for a 404. What its shape means is the caller's."""
        answer = await self._get(path, params)
        return None if answer is None else _json(answer)

    async def bulk(self, ids: Iterable[str], level: Literal["Instance", "Series", "Study"]) -> list[dict[str, Any]]:
        """Main tags, parents and (of instances) metadata of many resources at once; those that are gone are left out.

        The ids may be of any level below: one answer for each resource of `level` that they belong to.
        """
        asked = {"Resources": list(ids), "Level": level, "Metadata": level == "Instance"}
        body = json.dumps(asked).encode()
        answer = await self._ask("POST", "/tools/bulk-content", content=body, content_type="application/json")
        found = _json(answer) if answer.status_code == 200 else None
        if not isinstance(found, list):
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a question about many")
        return found

    async def lookup(self, uid: str) -> list[str]:
        """The ids of what has this DICOM UID (or another identifier), at any level."""
        answer = await self._ask("POST", "/tools/lookup", content=uid.encode(), content_type="text/plain")
        found = _json(answer) if answer.status_code == 200 else None
        if not isinstance(found, list):
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a look-up")
        return [str(one.get("ID")) for one in found]

    async def statistics(self) -> dict[str, Any]:
        """Counts and sizes of what is stored (`/statistics`)."""
        return _object(await self._ask("GET", "/statistics"))

    async def answers(self) -> None:
        """Readiness: a round trip that reads from Orthanc's index."""
        answer = await self._ask("GET", "/changes", params={"last": ""})
        if answer.status_code != 200:
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a readiness check")

    async def _tags(self, path: str) -> dict[str, str] | None:
        answer = await self._get(path)
        return None if answer is None else _object(answer).get("MainDicomTags", {})

    async def _get(self, path: str, params: dict[str, str | int] | None = None) -> httpx.Response | None:
        answer = await self._ask("GET", path, params=params)
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a read")
        return answer

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | AsyncIterable[bytes] | None = None,
        content_type: str | None = None,
        accept: str = "*/*",
        params: dict[str, str | int] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        headers = {"Accept": accept} | ({"Content-Type": content_type} if content_type else {}) | (headers or {})
        try:
            answer = await self._http.request(method, path, content=content, headers=headers, params=params)
        except httpx.ReadTimeout as error:
            raise OrthancSlow from error
        except httpx.TransportError as error:
            raise OrthancAway from error
        if answer.status_code == 401:
            raise OrthancNonsense(what="it does not know this service's account")
        if answer.status_code == 403:
            raise OrthancNonsense(what=f"this service's account may not {method} there (deploy/orthanc/routes.lua)")
        if answer.status_code == 503:
            raise OrthancAway
        return answer


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise OrthancNonsense(what="no JSON") from None


def _object(answer: httpx.Response) -> dict[str, Any]:
    found = _json(answer)
    if not isinstance(found, dict):
        raise OrthancNonsense(what="no JSON object")
    return found


def _status(answer: httpx.Response) -> int | None:
    try:
        return int(answer.json()["OrthancStatus"])
    except (ValueError, KeyError, TypeError):
        return None


def _stored(found: dict[str, Any]) -> Stored:
    """Orthanc may answer 200 with the status Failure and no ID: that is no success."""
    status, instance_id = found.get("Status"), found.get("ID")
    if status not in ("Success", "AlreadyStored") or not isinstance(instance_id, str) or not instance_id:
        raise OrthancNonsense(what=f"a store with the status {status!r}")
    return Stored(
        instance_id,
        str(found.get("ParentPatient", "")),
        str(found.get("ParentStudy", "")),
        str(found.get("ParentSeries", "")),
        status,
        str(found.get("Path", f"/instances/{instance_id}")),
    )
