"""What DICOMweb needs of Orthanc: from its DICOMweb plugin, which finds by UIDs, and by its own ids where that does.

Orthanc 1.10 ends when its plugin is asked for JPEG-LS: a client's transfer syntax never reaches it, only the one here.
"""

import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx

from services.preview_service.access import Instance
from services.preview_service.dicomweb.accept import EXPLICIT_LITTLE
from services.preview_service.errors import MetadataTooLong
from shared.errors import OrthancNonsense
from shared.orthanc_http import OrthancHttp, Params, json_of

DICOM_JSON = "application/dicom+json"
_UNABLE = (400, 404, 415, 500)  # as it happens, by how the pixels are encoded, or where there are none

Item = dict[str, Any]  # a data set in DICOM JSON (PS3.18, annex F)


class Source:
    """Shares the connections of all that preview asks. Raises OrthancAway, OrthancSlow or OrthancNonsense."""

    def __init__(self, orthanc: OrthancHttp) -> None:
        self._orthanc = orthanc

    async def search(self, level: str, asked: Params) -> list[Item]:
        """QIDO-RS at a level: studies, series or instances."""
        answer = await self._orthanc.ask("GET", f"/dicom-web/{level}", params=asked)
        if answer.status_code != 200:
            raise OrthancNonsense(what=f"HTTP {answer.status_code} to a search")
        found = json_of(answer)
        if not isinstance(found, list):
            raise OrthancNonsense(what="no list of results")
        return found

    async def metadata(self, instance: Instance, most: int) -> Item | None:
        """All but the bulk data; None where Orthanc has none of these UIDs, or several. Raises MetadataTooLong."""
        read = bytearray()
        async with self._orthanc.stream(f"{_path(instance)}/metadata", DICOM_JSON) as answer:
            if answer is None:
                return None
            async for piece in answer.aiter_raw():
                read += piece
                if len(read) > most:
                    raise MetadataTooLong(most=most)
        try:
            (item,) = json.loads(read)
        except (ValueError, TypeError):
            raise OrthancNonsense(what="no metadata") from None
        found: Item = item
        return found

    def file(self, instance: Instance) -> AbstractAsyncContextManager[httpx.Response | None]:
        """The file as it is stored; None where it is gone."""
        return self._orthanc.stream(f"/instances/{instance.orthanc_id}/file")

    def decoded(self, instance: Instance) -> AbstractAsyncContextManager[httpx.Response | None]:
        """The file in Explicit VR Little Endian, as the one part of a multipart answer; None where it cannot be."""
        accept = f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT_LITTLE}'
        return self._orthanc.stream(_path(instance), accept, _UNABLE)

    def decoded_frame(self, instance: Instance, frame: int) -> AbstractAsyncContextManager[httpx.Response | None]:
        """The pixels of one frame (from 1), the same way."""
        accept = f'multipart/related; type="application/octet-stream"; transfer-syntax={EXPLICIT_LITTLE}'
        return self._orthanc.stream(f"{_path(instance)}/frames/{frame}", accept, _UNABLE)

    def bulk(self, instance: Instance, attribute: str) -> AbstractAsyncContextManager[httpx.Response | None]:
        """The value of an attribute, the same way; in a sequence it is `tag.item.tag`, items from 1."""
        return self._orthanc.stream(f"{_path(instance)}/bulk/{attribute.replace('.', '/')}", nothing=_UNABLE)

    def frame(self, instance: Instance, frame: int) -> AbstractAsyncContextManager[httpx.Response | None]:
        """The pixels of one frame (from 1) as they are stored."""
        return self._orthanc.stream(f"/instances/{instance.orthanc_id}/frames/{frame - 1}/raw", nothing=_UNABLE)

    async def syntax(self, instance: Instance) -> str | None:
        """The transfer syntax of the stored file; None where it is gone."""
        answer = await self._orthanc.get(f"/instances/{instance.orthanc_id}/metadata/TransferSyntax")
        return None if answer is None else answer.text.strip()


def _path(instance: Instance) -> str:
    return (
        f"/dicom-web/studies/{instance.study_instance_uid}/series/{instance.series_instance_uid}"
        f"/instances/{instance.sop_instance_uid}"
    )
