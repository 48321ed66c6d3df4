"""Exams and their images arrive at once; exams late, early and twice."""

import asyncio
import random
from collections.abc import Sequence

import httpx
import pytest

from shared.events import Event, ExamUpserted
from tests.chaos import messages, metrics
from tests.chaos.clients import UPLOADER
from tests.chaos.images import fresh
from tests.chaos.lab import Lab
from tests.chaos.messages import Outgoing
from tests.integration import given

# Seconds of delay to and from PostgreSQL, for all images together: transactions overlap that a fast machine would have
# one after the other, the longer the fewer there are.
LATENCY = 1.2
CHUNK = 8  # exams opened at once, beside as many uploads
HIS, SOURCE = "admin", "/partner/his"  # which has no account of its own here
FIRST, LAST = 1, 2  # versions


class Pair:
    """An image and the exam that its accession number belongs to, which nobody has opened."""

    def __init__(self, lab: Lab) -> None:
        self.exam, self.accession = given.name(), lab.accession()
        [self.image] = fresh(1, accession=self.accession)

    def events(self) -> list[Outgoing]:
        """What the HIS says of the exam: half of it twice, and what it said first arrives last or not."""
        found = [self._event(version) for version in (FIRST, LAST)]
        if random.getrandbits(1):
            found += random.choices(found, k=2)
        random.shuffle(found)
        return found

    def _event(self, version: int) -> Outgoing:
        said = {"examenID": self.exam, "version": version, **self.said(version)}
        event = Event.about(ExamUpserted.model_validate(said), source=SOURCE, subject=self.exam, correlation_id=None)
        return Outgoing(event.model_dump_json(by_alias=True).encode(), "exam.upserted")

    def said(self, version: int) -> dict[str, object]:
        """At first the exam has neither a number nor a principal."""
        return {"accessionNumber": self.accession, "principals": [f"user:{UPLOADER}"]} if version == LAST else {}


@pytest.mark.row(
    "an exam and its images at once, its versions doubled and out of order, by event and by PUT",
    "every image registered under its exam, none waiting, nothing left to the sweep",
)
def test_exams_and_images_at_once(lab: Lab) -> None:
    swept = metrics.total(lab, "reconciler", "examflow_sweep_registered_total")
    lab.database_link.delay(LATENCY / lab.scale.images)
    pairs = [Pair(lab) for _ in range(lab.scale.images)]
    with lab.sending([pair.image for pair in pairs]) as clients:
        for begin in range(0, len(pairs), CHUNK):
            clients.have_ended(begin / len(pairs))
            lab.background.run(_opened(lab, pairs[begin : begin + CHUNK]))
    found = lab.balance()
    assert found.acknowledged == found.registered == found.sent
    assert {r.orthanc_id: r.exam for r in lab.tables.records()} == {p.image.orthanc_id: p.exam for p in pairs}
    assert lab.tables.exams() == {pair.exam: pair.accession for pair in pairs}
    assert metrics.total(lab, "reconciler", "examflow_sweep_registered_total") == swept


async def _opened(lab: Lab, pairs: Sequence[Pair]) -> None:
    """Half of them by event, half by PUT, all at once."""
    by_event, by_put = pairs[::2], pairs[1::2]
    said = [event for pair in by_event for event in pair.events()]
    random.shuffle(said)
    headers = {"Authorization": f"Bearer {lab.running.token('his', 'exams:write')}"}
    url = lab.faulty.system.url + "/api/examens-medicaux"
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as http:
        await asyncio.gather(messages.published(lab, HIS, said), *(_put(http, pair) for pair in by_put))


async def _put(http: httpx.AsyncClient, pair: Pair) -> None:
    """Both versions at once, the last one twice."""
    await asyncio.gather(*(_insist(http, pair, version) for version in (LAST, FIRST, LAST)))


async def _insist(http: httpx.AsyncClient, pair: Pair, version: int) -> None:
    """A sane HIS comes again after 503: many of them want a connection to PostgreSQL."""
    while True:
        answer = await http.put(f"/{pair.exam}", json=pair.said(version) | {"version": version})
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            answer.raise_for_status()
            return
        await asyncio.sleep(float(answer.headers["retry-after"]))
