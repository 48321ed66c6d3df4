"""Front ends that register their images by HTTP as well, while the events of their uploads are on the way."""

import asyncio
from collections import Counter

import httpx

from tests.chaos.clients import Clients
from tests.chaos.images import Image

BY_HTTP = "by HTTP"
TRIES = 20


class Registering(Clients):
    """Every second image is registered at once with its upload, without its Orthanc id, which nobody knows yet;
    the others twice, the moment the upload is answered, with it.
    """

    def begin_counting(self) -> "Registering":
        self.registrations: dict[str, Counter[int]] = {}
        self._turn = 0
        return self

    async def _send(self, http: httpx.AsyncClient, image: Image) -> None:
        self._turn += 1
        if self._turn % 2:
            await asyncio.gather(super()._send(http, image), self._register(http, image))
            return
        await super()._send(http, image)
        await asyncio.gather(*(self._register(http, image, image.orthanc_id) for _ in range(2)))

    async def _register(self, http: httpx.AsyncClient, image: Image, orthanc_id: str | None = None) -> None:
        body = {
            "examenID": image.exam,
            "studyInstanceUID": image.study_uid,
            "seriesInstanceUID": image.series_uid,
            "sopInstanceUID": image.sop_uid,
            "dateAcquisition": "2024-05-06T07:08:09Z",
            "modalite": "MR",
            "description": BY_HTTP,
            "orthancInstanceId": orthanc_id,
        }
        for _ in range(TRIES):
            answer = await http.post(
                "/examens-medicaux/images", json=body, headers={"Content-Type": "application/json"}
            )
            self.registrations.setdefault(image.sop_uid, Counter())[answer.status_code] += 1
            if answer.status_code != 503:  # the event takes its time, and the front end comes again
                return
            await asyncio.sleep(0.2)
