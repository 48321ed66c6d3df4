"""An image in Orthanc whose identifiers fit no event: a visible refusal instead of an endless attempt."""

import structlog
from pydantic import ValidationError

from services.registration_service import ledger
from services.registration_service.database import Database
from services.registration_service.intake import put
from services.registration_service.ledger import State
from services.registration_service.matching import NotNow

log = structlog.get_logger()


async def refuse_unusable(database: Database, orthanc_id: str, error: ValidationError) -> None:
    """Say no to it, naming the fields and no value."""
    fields = ", ".join(sorted({str(one["loc"][0]) for one in error.errors(include_input=False, include_url=False)}))
    async with database.transaction() as session:
        entry = await ledger.find(session, orthanc_id, hold=True)
        if entry is not None and entry.state == State.SEEN:
            put(session, entry, NotNow(State.REFUSED, "unusable-identifiers", f"the image has no usable {fields}"))
    log.error("image.unusable", orthanc_id=orthanc_id, fields=fields)
