"""What is believed of a stored image's event. Origin and context count from upload and reconciler alone.

Anyone else is a partner: its image is checked against Orthanc, and all that is said about it is read there, the time
of its arrival too.
"""

from collections.abc import Collection
from datetime import datetime

from pydantic import ValidationError

from services.registration_service.errors import Hopeless, NotYet
from services.registration_service.pacs import find_instances
from services.registration_service.reading import first_trouble
from services.registration_service.recovered_event import stored_event
from shared.events import Context, DicomStored, Event, Origin
from shared.orthanc import Orthanc

_MUST_FIT = ("study_instance_uid", "series_instance_uid", "sop_instance_uid")


class Vouching:
    """Turns what was published into what may be believed."""

    def __init__(self, orthanc: Orthanc, believed: Collection[str], facility_zone: str) -> None:
        self._orthanc = orthanc
        self._believed = believed
        self._zone = facility_zone

    async def believe(self, event: Event[DicomStored], publisher: str) -> tuple[DicomStored, datetime]:
        """The image as it may be registered, and when it came.

        `publisher` is the broker's user, empty where the message named none.
        Raises NotYet where Orthanc has no such image, Hopeless where its image is another one, OrthancAway.
        """
        if publisher in self._believed:
            return event.data, event.time
        orthanc_id = event.data.orthanc_instance_id
        found = (await find_instances(self._orthanc, [orthanc_id])).get(orthanc_id)
        if found is None:
            raise NotYet("data.orthancInstanceId: is no stored image")
        try:
            stored = (await stored_event(self._orthanc, found, event.correlationid, self._zone)).data
        except ValidationError as error:
            raise Hopeless(f"the stored image is unusable: {first_trouble(error)}") from None
        for field in _MUST_FIT:
            if getattr(stored, field) != getattr(event.data, field):
                raise Hopeless(f"data.{DicomStored.model_fields[field].alias}: is not the stored image's")
        origin = Origin(kind="partner", actor=publisher or None)
        return stored.model_copy(update={"origin": origin, "context": Context()}), found.received
