"""The audit trail over HTTP, for tokens with the scope `audit:read`."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from services.registration_service.database import Database
from services.registration_service.paging import Cursor
from services.registration_service.settings import Settings
from services.registration_service.trail import reading
from services.registration_service.trail.anchoring import read_anchors
from services.registration_service.trail.schemas import (
    Access,
    AccessPage,
    ChainAnchor,
    ChainLink,
    ChainPage,
    ChainPlace,
    ChainPruning,
    ChainState,
)
from services.registration_service.trail.sealing import head
from shared.audited_route import AuditedRoute, audited
from shared.events import ExamId
from shared.permission import AUDITOR, Caller
from shared.service import problems
from shared.timestamps import Timestamp
from shared.tokens import Scoped

router = APIRouter(route_class=AuditedRoute, tags=["audit"], responses=problems(401, 403, 503))
DataProtection = Annotated[Caller, Depends(Scoped(AUDITOR))]


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


Db = Annotated[Database, Depends(_database)]


@router.get("/examens-medicaux/{examenID}/accesses", responses=problems(404))
@audited("accesses.read")
async def list_accesses(
    exam_id: Annotated[ExamId, Path(alias="examenID")],
    caller: DataProtection,
    database: Db,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    cursor: Annotated[Cursor | None, Query(max_length=200)] = None,
    since: Timestamp | None = None,
    until: Timestamp | None = None,
) -> AccessPage:
    """Who saw or changed an exam and its images, when, from where, and who tried to: newest first."""
    async with database.transaction() as session:
        found, following = await reading.accesses(session, exam_id, limit, cursor, since, until)
        return AccessPage(items=[Access.of(row) for row in found], next=following)


@router.get("/audit/state")
@audited("audit.state", by_itself=True)
async def read_state(request: Request, caller: DataProtection, database: Db) -> ChainState:
    """Where the hash chain begins and ends, what is not in it, and the anchors that this replica wrote down."""
    settings: Settings = request.app.state.settings
    file = settings.trail.anchors
    anchors = await asyncio.to_thread(read_anchors, file) if file else []
    async with database.transaction() as session:
        place, pruning = await head(session), await reading.last_pruning(session)
        return ChainState(
            head=ChainPlace(seq=place.seq, hash=place.hash),
            pruning=ChainPruning(seq=pruning.to.seq, hash=pruning.to.hash, at=pruning.at, days=pruning.days)
            if pruning
            else None,
            unsealed=await reading.unsealed(session),
            outside=list(await reading.outside(session)),
            anchors=[ChainAnchor(seq=one.place.seq, hash=one.place.hash, at=one.at) for one in anchors],
        )


@router.get("/audit/chain")
@audited("audit.chain", by_itself=True)
async def read_chain(
    caller: DataProtection,
    database: Db,
    after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
) -> ChainPage:
    """Links of the chain behind a place, in order, each with what its hash covers: whoever asks can compute it anew."""
    async with database.transaction() as session:
        found = await reading.links(session, after, limit)
    return ChainPage(
        items=[
            ChainLink(seq=one.place.seq, hash=one.place.hash, record=dict(one.record) if one.record else None)
            for one in found
        ]
    )
