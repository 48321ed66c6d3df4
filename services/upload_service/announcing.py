"""How a stored image becomes known: by its event, or, while the broker is away, by its context parked in Orthanc."""

from typing import Literal

import structlog
from pydantic import ValidationError

from services.upload_service.errors import StoredUnlinked
from shared.broker import Publisher
from shared.correlation import correlation_id
from shared.errors import BrokerAway, OrthancAway, OrthancNonsense
from shared.events import DicomStored, Event
from shared.orthanc import PARKED, Orthanc

log = structlog.get_logger()

SOURCE = "/examflow/upload"
Announced = Literal["confirmed", "pending"]


class Announcing:
    """Announces stored images. One instance serves all requests."""

    def __init__(self, publisher: Publisher, orthanc: Orthanc) -> None:
        self._publisher = publisher
        self._orthanc = orthanc

    async def announce(self, data: DicomStored) -> Announced:
        """Publish `dicom.stored`; where it is not confirmed, park it for the reconciler.

        Raises StoredUnlinked where neither holds, or where another context is parked on the image already.
        """
        event = Event.about(data, source=SOURCE, subject=data.orthanc_instance_id, correlation_id=correlation_id.get())
        try:
            await self._publisher.publish(event)
        except BrokerAway:
            try:
                await self._park(event)
            except (OrthancAway, OrthancNonsense) as error:
                raise StoredUnlinked from error
            log.warning("upload.parked", orthanc_id=data.orthanc_instance_id)
            return "pending"
        return "confirmed"

    async def _park(self, event: Event[DicomStored]) -> None:
        """Write the event onto the image where none stands; one that says the same is as good."""
        orthanc_id = event.data.orthanc_instance_id
        if await self._orthanc.add_metadata(orthanc_id, PARKED, event.model_dump_json(by_alias=True)):
            return
        if not _same(await self._orthanc.metadata(orthanc_id, PARKED), event):
            raise StoredUnlinked


def _same(standing: str | None, event: Event[DicomStored]) -> bool:
    """Whether what is parked says the same: the exam, the description, and who sent it."""
    try:
        parked = Event[DicomStored].model_validate_json(standing or "")
    except ValidationError:
        return False
    ours, theirs = event.data, parked.data
    return (ours.context, ours.origin.actor) == (theirs.context, theirs.origin.actor)
