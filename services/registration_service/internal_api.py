"""What the preview service asks, under the service token; the gateway does not route it."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request

from services.registration_service import ledger
from services.registration_service.database import Database
from services.registration_service.errors import NotInternal
from services.registration_service.fate import describe_instance
from services.registration_service.internal_schemas import InternalInstance, VisibleImages, VisibleQuestion
from services.registration_service.settings import Settings
from services.registration_service.visible import visible
from shared.audited_route import AuditedRoute, audited
from shared.texts import Name


def _internal(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    settings: Settings = request.app.state.settings
    shown = authorization.encode()
    fits = [hmac.compare_digest(shown, f"Bearer {token}".encode()) for token in settings.internal_tokens()]
    if not any(fits):
        raise NotInternal


router = APIRouter(
    route_class=AuditedRoute, prefix="/internal", dependencies=[Depends(_internal)], include_in_schema=False
)

Block = Annotated[int, Query(ge=0, le=1000)]


@router.get("/instances/{orthancInstanceId}")
@audited("internal.read", denied_only=True)
async def read_instance(
    request: Request, orthanc_id: Annotated[Name, Path(alias="orthancInstanceId", max_length=255)], siblings: Block = 0
) -> InternalInstance:
    """An Orthanc instance."""
    database: Database = request.app.state.database
    async with database.transaction() as session:
        return await describe_instance(session, orthanc_id, siblings)


@router.get("/sop-instances/{sopInstanceUID}")
@audited("internal.read", denied_only=True)
async def read_sop_instance(
    request: Request,
    sop_instance_uid: Annotated[Name, Path(alias="sopInstanceUID", max_length=64)],
    siblings: Block = 0,
) -> InternalInstance:
    """The Orthanc instance of a SOP Instance UID: the registered one, else the first seen."""
    database: Database = request.app.state.database
    async with database.transaction() as session:
        entry = await ledger.find_by_sop(session, sop_instance_uid)
        return await describe_instance(session, entry.orthanc_id if entry else None, siblings)


@router.post("/visible")
@audited("internal.read", denied_only=True)
async def read_visible(request: Request, asked: VisibleQuestion) -> VisibleImages:
    """What somebody may see, for lists and whole studies."""
    database: Database = request.app.state.database
    async with database.transaction() as session:
        return await visible(session, asked)
