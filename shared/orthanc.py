"""Orthanc's REST API, as far as two services need it. Success is only what Orthanc's own contract calls success."""

import json
from collections.abc import AsyncIterable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from shared.errors import OrthancNonsense, StorageFull, StoreFailed, StoreRefused
from shared.orthanc_http import OrthancHttp, json_of, object_of
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
        self._orthanc = OrthancHttp(settings)

    @property
    def http(self) -> OrthancHttp:
        """The same connections, for what one service alone asks."""
        return self._orthanc

    async def aclose(self) -> None:
        """Close the connections."""
        await self._orthanc.aclose()

    async def store(self, content: bytes | AsyncIterable[bytes]) -> Stored:
        """POST one DICOM file. Raises StoreRefused, StorageFull, StoreFailed, OrthancNonsense or OrthancAway."""
        answer = await self._orthanc.ask("POST", "/instances", content=content, content_type="application/dicom")
        if answer.status_code in (400, 404):  # 404: it finds no identity in it
            raise StoreRefused
        if answer.status_code == 507 or (answer.status_code == 500 and _status(answer) == STORAGE_FULL):
            raise StorageFull
        if answer.status_code >= 500:
            raise StoreFailed(what=f"HTTP {answer.status_code} to a store")
        if answer.status_code != 200:
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a store")
        return _stored(object_of(answer))

    async def digest(self, instance_id: str) -> str | None:
        """The MD5 of the stored file in hex; None where there is no such instance."""
        answer = await self._orthanc.get(f"/instances/{instance_id}/attachments/dicom/md5")
        return None if answer is None else answer.text.strip()

    async def size(self, instance_id: str) -> int | None:
        """The bytes of the stored file; None where there is no such instance."""
        answer = await self._orthanc.get(f"/instances/{instance_id}/attachments/dicom/size")
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
            return await self._orthanc.ask("GET", f"{path}/preview", params=params, accept=content_type)
        params |= {"window-center": f"{window[0]:g}", "window-width": f"{window[1]:g}"}
        return await self._orthanc.ask("GET", f"{path}/rendered", params=params, accept=content_type)

    async def frames(self, instance_id: str) -> int | None:
        """How many frames an instance has, at least one; None where there is no such instance."""
        found = await self.read(f"/instances/{instance_id}/frames")
        if found is not None and not isinstance(found, list):
            raise OrthancNonsense(what="no list of frames")
        return None if found is None else max(1, len(found))

    def file(self, instance_id: str) -> AbstractAsyncContextManager[httpx.Response | None]:
        """The DICOM file as an open stream; None where there is no such instance."""
        return self._orthanc.stream(f"/instances/{instance_id}/file")

    async def metadata(self, instance_id: str, number: str) -> str | None:
        """A metadata value of an instance; None where there is none, or no such instance."""
        answer = await self._orthanc.get(f"/instances/{instance_id}/metadata/{number}")
        return None if answer is None else answer.text

    async def add_metadata(self, instance_id: str, number: str, text: str) -> bool:
        """Write a metadata value where none stands, else return False. Of several writers at once one does."""
        path = f"/instances/{instance_id}/metadata/{number}"
        answer = await self._orthanc.ask("PUT", path, content=text.encode(), headers={"If-Match": _NO_REVISION})
        if answer.status_code not in (200, 409):
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a metadata value")
        return answer.status_code == 200

    async def delete_metadata(self, instance_id: str, number: str) -> None:
        """Take a metadata value away; none standing there is as good."""
        answer = await self._orthanc.ask("DELETE", f"/instances/{instance_id}/metadata/{number}")
        if answer.status_code not in (200, 404):
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a metadata value's end")

    async def read(self, path: str, **params: str | int) -> Any | None:
        """The JSON of any address; None for a 404. What its shape means is the caller's."""
        answer = await self._orthanc.get(path, params)
        return None if answer is None else json_of(answer)

    async def bulk(self, ids: Iterable[str], level: Literal["Instance", "Series", "Study"]) -> list[dict[str, Any]]:
        """Main tags, parents and (of instances) metadata of many resources at once; those that are gone are left out.

        The ids may be of any level below: one answer for each resource of `level` that they belong to.
        """
        asked = {"Resources": list(ids), "Level": level, "Metadata": level == "Instance"}
        body = json.dumps(asked).encode()
        answer = await self._orthanc.ask("POST", "/tools/bulk-content", content=body, content_type="application/json")
        found = json_of(answer) if answer.status_code == 200 else None
        if not isinstance(found, list):
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a question about many")
        return found

    async def lookup(self, uid: str) -> list[str]:
        """The ids of what has this DICOM UID (or another identifier), at any level."""
        answer = await self._orthanc.ask("POST", "/tools/lookup", content=uid.encode(), content_type="text/plain")
        found = json_of(answer) if answer.status_code == 200 else None
        if not isinstance(found, list):
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a look-up")
        return [str(one.get("ID")) for one in found]

    async def statistics(self) -> dict[str, Any]:
        """Counts and sizes of what is stored (`/statistics`)."""
        return object_of(await self._orthanc.ask("GET", "/statistics"))

    async def answers(self) -> None:
        """Readiness: a round trip that reads from Orthanc's index."""
        answer = await self._orthanc.ask("GET", "/changes", params={"last": ""})
        if answer.status_code != 200:
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a readiness check")

    async def _tags(self, path: str) -> dict[str, str] | None:
        answer = await self._orthanc.get(path)
        return None if answer is None else object_of(answer).get("MainDicomTags", {})


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
