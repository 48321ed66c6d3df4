"""An upload whose event is not confirmed: its context is parked on the image in Orthanc, where none stands."""

import asyncio

import pytest

from deploy.local.system import System
from services.upload_service.announcing import Announcing
from services.upload_service.errors import StoredUnlinked
from shared.broker import Publisher
from shared.errors import BrokerAway
from shared.events import Context, DicomStored, Event, Origin
from shared.orthanc import PARKED, Orthanc
from tests import dicom_files
from tests.integration import accounts, given


class NoBroker(Publisher):
    """Never confirms."""

    def __init__(self) -> None:
        """Needs nothing."""

    async def publish(self, *_event: object, **_options: object) -> None:
        raise BrokerAway


@pytest.fixture
async def stored(orthanc: Orthanc) -> DicomStored:
    """An image in Orthanc, and what its event would say."""
    stored = await orthanc.store(dicom_files.fresh("CT_small.dcm"))
    return given.image(exam="EX-PARKED", description="Scanner", orthanc_instance_id=stored.instance_id)


async def test_the_event_waits_on_the_image(orthanc: Orthanc, stored: DicomStored) -> None:
    assert await Announcing(NoBroker(), orthanc).announce(stored) == "pending"
    parked = await orthanc.metadata(stored.orthanc_instance_id, PARKED)
    assert parked is not None
    assert Event[DicomStored].model_validate_json(parked).data == stored


async def test_the_same_upload_again_is_pending_as_well(orthanc: Orthanc, stored: DicomStored) -> None:
    announcing = Announcing(NoBroker(), orthanc)
    assert [await announcing.announce(stored) for _ in range(2)] == ["pending", "pending"]


@pytest.mark.parametrize(
    "other",
    [
        {"context": Context(examen_id="EX-OTHER", description="Scanner")},
        {"context": Context(examen_id="EX-PARKED", description="another")},
        {"origin": Origin(kind="upload", actor="bob")},
    ],
)
async def test_another_context_is_told_to_come_again(
    orthanc: Orthanc, stored: DicomStored, other: dict[str, object]
) -> None:
    announcing = Announcing(NoBroker(), orthanc)
    await announcing.announce(stored)
    with pytest.raises(StoredUnlinked) as told:
        await announcing.announce(stored.model_copy(update=other))
    assert (told.value.status, told.value.retry_after) == (503, 5)
    parked = await orthanc.metadata(stored.orthanc_instance_id, PARKED)
    assert parked is not None
    assert Event[DicomStored].model_validate_json(parked).data == stored  # the first one stays


async def test_of_many_contexts_at_once_one_is_promised_and_stays(orthanc: Orthanc, stored: DicomStored) -> None:
    announcing = Announcing(NoBroker(), orthanc)
    contexts = [Context(examen_id=f"EX-{number}") for number in range(16)]
    asked = (announcing.announce(stored.model_copy(update={"context": context})) for context in contexts)
    told = await asyncio.gather(*asked, return_exceptions=True)
    [promised] = [context for context, said in zip(contexts, told, strict=True) if said == "pending"]
    parked = await orthanc.metadata(stored.orthanc_instance_id, PARKED)
    assert parked is not None
    assert Event[DicomStored].model_validate_json(parked).data.context == promised


async def test_neither_confirmed_nor_parked_is_no_success(
    system: System, orthanc: Orthanc, stored: DicomStored
) -> None:
    silent = Orthanc(accounts.orthanc(system, "upload", url="http://127.0.0.1:1"))
    with pytest.raises(StoredUnlinked):
        await Announcing(NoBroker(), silent).announce(stored)
    await silent.aclose()
    nowhere = stored.model_copy(update={"orthanc_instance_id": "0-0-0-0-0"})
    with pytest.raises(StoredUnlinked):
        await Announcing(NoBroker(), orthanc).announce(nowhere)
