"""The dead letters of one image."""

from typing import Any

from services.registration_service.ops.desk import Desk


async def letters_of(desk: Desk, orthanc_id: str) -> list[dict[str, Any]] | None:
    """What lies in `registration.dead` about an image; None: it was not looked for."""
    return None
