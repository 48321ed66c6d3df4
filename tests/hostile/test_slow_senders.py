"""200 senders that never come to an end: each is cut at its deadline, and nobody else notices."""

import asyncio
import json
from typing import cast

from tests.dicom_files import fresh
from tests.hostile.besieged import BUDGET, DEADLINE, Besieged
from tests.hostile.senders import Told, Way, send_slowly
from tests.running import eventually
from tests.unit.dicom_bytes import dicom

MANY = 200
WAYS: tuple[Way, ...] = ("says nothing", "stalls", "drips", "stalls in the pixels", "says nothing")
IN_FLIGHT = ("examflow_uploads_in_flight", "examflow_upload_held_bytes", "examflow_upload_storing_bytes")


def test_each_is_cut_at_its_deadline(besieged: Besieged) -> None:
    url, token = besieged.system.url + "/api", besieged.running.token("slow")
    small, large = fresh("CT_small.dcm"), dicom(pixels=b"p" * 3 * 1024 * 1024)
    idle, cut, stored = besieged.rest(), besieged.cuts(), besieged.instances()

    async def all_of_them() -> list[Told]:
        ways = [WAYS[number % len(WAYS)] for number in range(MANY)]
        contents = [large if way == "stalls in the pixels" else small for way in ways]
        return await asyncio.gather(
            *(send_slowly(url, token, content, way) for content, way in zip(contents, ways, strict=True))
        )

    with besieged.normal_uploads() as normal:
        told = besieged.background.run(all_of_them(), 120)
        eventually(lambda: besieged.gauge("examflow_uploads_in_flight") <= 1, what="places that come back")
        eventually(lambda: len(normal) > 5, what="normal uploads")
    assert {one.status for one in told} == {408}
    assert {cast("str", json.loads(one.body)["type"]) for one in told} == {"/problems/sent-too-slowly"}
    # Twice the window at most, and what flows waits its turn at one of the 20 connections.
    assert max(one.seconds for one in told) < 3 * 4 * DEADLINE
    assert set(normal) == {201}
    assert besieged.cuts() == cut + MANY
    assert besieged.instances() == stored + len(normal)
    assert besieged.peak() - idle < BUDGET
    assert [besieged.gauge(name) for name in IN_FLIGHT] == [0, 0, 0]
    eventually(lambda: besieged.door.open <= 1, what="Orthanc's threads")
