"""Dead letters over HTTP: list, show, replay, drop. Each request is a bounded batch; nothing is kept between them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from services.registration_service.errors import DeadLetterUnknown
from services.registration_service.ops import listing
from services.registration_service.ops.dead_letters import DeadLetters
from services.registration_service.ops.operator import Operator
from services.registration_service.ops.replay import Replay
from services.registration_service.ops.schemas_dead_letters import (
    Cause,
    DeadLetterList,
    DryRun,
    Handled,
    LetterId,
    ToDrop,
    ToReplay,
    WholeDeadLetter,
)
from shared.audited_route import AuditedRoute, audited
from shared.service import problems

router = APIRouter(
    route_class=AuditedRoute, prefix="/ops/dead-letters", tags=["ops"], responses=problems(401, 403, 503)
)


def _letters(request: Request) -> DeadLetters:
    letters: DeadLetters = request.app.state.dead_letters
    return letters


def _replay(request: Request) -> Replay:
    replay: Replay = request.app.state.replay
    return replay


Letters = Annotated[DeadLetters, Depends(_letters)]
Replaying = Annotated[Replay, Depends(_replay)]


@router.get("")
@audited("ops.dead-letters")
async def list_dead_letters(
    caller: Operator,
    letters: Letters,
    cause: Annotated[Cause | None, Query()] = None,
    limit: Annotated[int, Query(ge=0, le=100_000)] = 50,
) -> DeadLetterList:
    """How many there are, why, and the newest `limit` of them. Looking changes nothing."""
    return DeadLetterList.of(await listing.list_letters(letters, cause, limit))


@router.get("/{id}", responses=problems(404))
@audited("ops.dead-letter")
async def read_dead_letter(
    letter_id: Annotated[LetterId, Path(alias="id")], caller: Operator, letters: Letters
) -> WholeDeadLetter:
    """One dead letter with its headers and its event; what may name a patient is masked."""
    found = await listing.find_letter(letters, letter_id)
    if found is None:
        raise DeadLetterUnknown
    return WholeDeadLetter.whole(found)


@router.post("/replay")
@audited("dead-letter.replay", by_itself=True)
async def replay_dead_letters(asked: ToReplay, caller: Operator, replay: Replaying) -> Handled | DryRun:
    """Send letters to their work queues again, as if for the first time; audited.

    One that fails again comes back as a new letter: who replays many takes their ids first, and each of them once.
    """
    choice = asked.choice()
    if not asked.dryRun:
        return Handled.of(await replay.replay(choice, caller.sub))
    return DryRun.of(*await replay.foresee(choice))


@router.post("/drop")
@audited("dead-letter.drop", by_itself=True)
async def drop_dead_letters(asked: ToDrop, caller: Operator, replay: Replaying) -> Handled:
    """Take letters out of the queue for good; who and why is audited."""
    return Handled.of(await replay.drop(asked.choice(), caller.sub, asked.reason))
