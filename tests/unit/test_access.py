"""When preview asks registration anew, and what it does with an answer that is older than what it was told."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.preview_service.access import Access
from services.preview_service.errors import Gone, RightsOutdated, UrlOvertaken
from services.preview_service.remembered import Remembered
from services.preview_service.settings import RegistrationSettings
from shared.errors import InstanceUnknown, RegistrationAway
from shared.permission import Caller

ALICE, MALLORY = Caller("alice"), Caller("mallory")


class Registration:
    """Answers what a test has it answer, and counts; the real one stands in test_rights_changed.py."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.purged: list[str] = []
        self.epochs = [1]
        self.answer: dict[str, Any] = {
            "orthancInstanceId": "i-1",
            "studyInstanceUID": "1",
            "seriesInstanceUID": "1.1",
            "sopInstanceUID": "1.2",
            "state": "registered",
            "examenID": "EX-1",
            "principals": ["user:alice"],
            "uploaders": [],
            "digest": "d" * 32,
            "modality": "CT",
        }
        self.status = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        epoch = self.epochs.pop(0) if len(self.epochs) > 1 else self.epochs[0]
        return httpx.Response(self.status, json=self.answer | {"epoch": epoch})

    async def purge(self, digest: str) -> None:
        """What the cache would do."""
        self.purged.append(digest)


@pytest.fixture
def registration() -> Registration:
    return Registration()


@pytest.fixture
def remembered() -> Remembered:
    return Remembered(RegistrationSettings.model_validate({"url": "http://registration", "token": "secret"}))


@pytest.fixture
async def access(
    registration: Registration, remembered: Remembered, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Access]:
    settings = RegistrationSettings.model_validate({"url": "http://registration", "token": "s"})
    made = Access(settings, remembered, registration.purge)
    await made.aclose()
    client = httpx.AsyncClient(transport=httpx.MockTransport(registration), base_url="http://registration")
    monkeypatch.setattr(made, "_http", client)
    yield made
    await made.aclose()


async def test_it_is_asked_once_and_each_caller_is_judged(access: Access, registration: Registration) -> None:
    for _ in range(3):
        assert (await access.instance(ALICE, "i-1")).exam_id == "EX-1"
        with pytest.raises(InstanceUnknown):
            await access.instance(MALLORY, "i-1")
    assert registration.asked == ["/internal/instances/i-1"]
    await access.sop_instance(ALICE, "1.2")
    assert registration.asked[1:] == ["/internal/sop-instances/1.2"]


async def test_whom_it_refused_first_is_let_in_by_the_next_answer(
    access: Access, registration: Registration, remembered: Remembered
) -> None:
    with pytest.raises(InstanceUnknown):
        await access.instance(MALLORY, "i-1")
    registration.answer["principals"], registration.epochs = ["user:mallory"], [2]
    remembered.void("EX-1", 2)
    assert (await access.instance(MALLORY, "i-1")).orthanc_id == "i-1"
    with pytest.raises(InstanceUnknown):
        await access.instance(ALICE, "i-1")


def _sibling(number: int, *uploaders: str) -> dict[str, Any]:
    its = {"orthancInstanceId": f"i-{number}", "sopInstanceUID": f"1.{number}", "digest": str(number) * 32}
    return its | {"modality": None, "uploaders": list(uploaders)}


async def test_its_siblings_are_not_asked_about(access: Access, registration: Registration) -> None:
    registration.answer["siblings"] = [_sibling(3), _sibling(4, "mallory")]
    await access.instance(ALICE, "i-1")
    found = await access.instance(ALICE, "i-3")
    assert (found.sop_instance_uid, found.digest, found.modality, found.exam_id) == ("1.3", "3" * 32, "UNKNOWN", "EX-1")
    assert found.series_instance_uid == "1.1"
    with pytest.raises(InstanceUnknown):
        await access.instance(MALLORY, "i-4")  # who brought it may not see it, now that it is in an exam
    assert registration.asked == ["/internal/instances/i-1"]
    await access.sop_instance(ALICE, "1.2")
    await access.sop_instance(ALICE, "1.4")
    assert registration.asked[1:] == ["/internal/sop-instances/1.2"]


async def test_a_change_of_rights_ends_what_was_told_of_siblings(
    access: Access, registration: Registration, remembered: Remembered
) -> None:
    registration.answer["siblings"] = [_sibling(3)]
    await access.instance(ALICE, "i-1")
    remembered.void("EX-1", 2)
    registration.status = 404
    with pytest.raises(InstanceUnknown):
        await access.instance(ALICE, "i-3")
    assert registration.asked[1:] == ["/internal/instances/i-3"]


@pytest.mark.parametrize(
    "changes", [{"state": "waiting", "principals": None, "examenID": None, "uploaders": ["alice"]}]
)
async def test_what_is_not_registered_is_asked_each_time(
    access: Access, registration: Registration, changes: dict[str, Any]
) -> None:
    registration.answer |= changes
    for _ in range(2):
        await access.instance(ALICE, "i-1")
    assert len(registration.asked) == 2


async def test_an_unknown_or_deleted_one_is_asked_each_time(access: Access, registration: Registration) -> None:
    registration.answer["state"] = "deleted"
    for _ in range(2):
        with pytest.raises(Gone):
            await access.instance(ALICE, "i-1")
    assert registration.purged == ["d" * 32] * 2
    with pytest.raises(InstanceUnknown):
        await access.instance(MALLORY, "i-1")
    assert len(registration.purged) == 2
    registration.status = 404
    for _ in range(2):
        with pytest.raises(InstanceUnknown):
            await access.instance(ALICE, "i-1")
    assert len(registration.asked) == 5


async def test_an_older_epoch_is_asked_once_more(
    access: Access, registration: Registration, remembered: Remembered
) -> None:
    remembered.void("EX-1", 3)
    registration.epochs = [2, 3]
    assert (await access.instance(ALICE, "i-1")).exam_id == "EX-1"
    assert len(registration.asked) == 2


async def test_a_second_one_is_refused(access: Access, registration: Registration, remembered: Remembered) -> None:
    remembered.void("EX-1", 3)
    registration.epochs = [2]
    with pytest.raises(RightsOutdated) as refused:
        await access.instance(ALICE, "i-1")
    assert (refused.value.status, refused.value.retry_after, len(registration.asked)) == (503, 1, 2)
    with pytest.raises(RightsOutdated):
        await access.instance(ALICE, "i-1")  # nor was it kept


async def test_a_signed_url_is_judged_by_what_is_remembered(access: Access, registration: Registration) -> None:
    await access.instance(ALICE, "i-1")
    for _ in range(3):
        found = await access.signed("i-1", lambda known: (known.exam_id, known.epoch) == ("EX-1", 1))
        assert (found.orthanc_id, found.exam_id, found.epoch) == ("i-1", "EX-1", 1)
    assert len(registration.asked) == 1


async def test_a_signed_url_newer_than_what_is_remembered_is_asked_about(
    access: Access, registration: Registration
) -> None:
    await access.instance(ALICE, "i-1")
    registration.epochs = [2]
    assert (await access.signed("i-1", lambda known: known.epoch == 2)).epoch == 2
    assert (await access.instance(ALICE, "i-1")).epoch == 2
    assert len(registration.asked) == 2


async def test_an_overtaken_one_is_refused_by_the_answer_of_now(access: Access, registration: Registration) -> None:
    registration.epochs, registration.answer["state"] = [2], "deleted"  # of which its bearer is told nothing
    for _ in range(2):
        with pytest.raises(UrlOvertaken) as refused:
            await access.signed("i-1", lambda known: known.epoch == 1)
        assert refused.value.hides == ("EX-1", "1.2")
    assert (len(registration.asked), registration.purged) == (2, [])
    with pytest.raises(Gone):
        await access.signed("i-1", lambda known: known.epoch == 2)


async def test_readiness_asks_whatever_is_kept(access: Access, registration: Registration) -> None:
    registration.status = 404
    for _ in range(2):
        await access.answers()
    assert registration.asked == ["/internal/instances/readiness"] * 2
    registration.status = 500
    with pytest.raises(RegistrationAway):
        await access.answers()


async def test_an_answer_that_is_none_lets_nobody_in(access: Access, registration: Registration) -> None:
    del registration.answer["principals"]
    with pytest.raises(RegistrationAway):
        await access.instance(ALICE, "i-1")
