"""Dead letters dropped: who did it and why is written first, and none comes back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel

from deploy.local.system import System
from services.registration_service.database import Database
from services.registration_service.ops.choice import Choice
from services.registration_service.ops.peeking import Reading
from tests.integration import given, letters, rows
from tests.integration.letters import ALL, Desk, choice


class Killed(BaseException):
    """The process is gone at this point."""


@pytest.fixture
async def desk(
    system: System, admin: AbstractChannel, database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    async with letters.opened(system, admin, database, monkeypatch) as desk:
        yield desk


async def test_dropped_is_gone_and_says_who_and_why(desk: Desk) -> None:
    data = given.image(exam="EX-DROP-1")
    await desk.bury(given.event(data))
    await desk.bury(b"{")
    found = {one.sop_instance_uid: one for one in (await desk.list()).items}
    done = await desk.replay.drop(choice(*found.values()), "olga", "sent by mistake")
    assert sorted(done.done) == sorted(one.id for one in found.values())
    assert (await desk.list()).total == 0
    assert await desk.work.get(fail=False) is None
    for subject in (data.sop_instance_uid, f"dead-letter {found[None].id}"):
        about = {"subject": subject, "reason": "sent by mistake"}
        assert await rows.audited(desk.database, **about) == [("olga", "dead-letter.drop", "dropped")]


async def test_killed_while_it_is_dropped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        await desk.bury()
    remove = Reading.remove

    async def killed(self: Reading, message: Any) -> None:
        if self.done == 1:
            raise Killed
        await remove(self, message)

    with monkeypatch.context() as patch:
        patch.setattr(Reading, "remove", killed)
        with pytest.raises(Killed):
            await desk.replay.drop(ALL, "olga", "not needed")
    assert (await desk.list()).total == 2


async def test_many_are_dropped_and_none_comes_back(desk: Desk) -> None:
    """Acknowledgements that a channel keeps back are forgotten when it closes."""

    async def bury_some() -> None:
        for _ in range(150):
            await desk.bury(b"{")

    await asyncio.gather(*(bury_some() for _ in range(20)))
    for left in (2000, 1000, 0):
        done = await desk.replay.drop(Choice(1000), "olga", "not needed")
        assert (len(done.done), done.batch.more) == (1000, bool(left))
        assert (await desk.list(limit=0)).total == left
