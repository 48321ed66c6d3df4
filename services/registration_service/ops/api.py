"""What operators ask and do over HTTP, except dead letters; the command `examflow` uses these routes alone."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from services.registration_service.consumers import WORK_QUEUES
from services.registration_service.ledger import State
from services.registration_service.ops import assign, correct, pauses, waiting
from services.registration_service.ops import reconcile as reconciling
from services.registration_service.ops.desk import AtDesk, Desk
from services.registration_service.ops.operator import Operator
from services.registration_service.ops.schemas import (
    Consumer,
    Consumers,
    ExamAsked,
    ImageOutcome,
    ReconcileAsked,
    ReconcileStarted,
    Status,
    Timeline,
    WaitingPage,
    WhyAsked,
)
from services.registration_service.ops.status import count_queues, read_status
from services.registration_service.ops.timeline import read_timeline
from services.registration_service.paging import Cursor
from shared.audited_route import AuditedRoute, audited
from shared.service import problems
from shared.texts import NOT_IN_NAME, Name

router = APIRouter(route_class=AuditedRoute, prefix="/ops", tags=["ops"], responses=problems(401, 403, 503))
# An Orthanc id, a SOP Instance UID or an imageID: whatever an operator has at hand.
ImageName = Annotated[str, Path(alias="id", min_length=1, max_length=255, pattern=f"^[^/{NOT_IN_NAME}]+$")]
QueueName = Annotated[Name, Path(alias="queue", max_length=255)]
Unregistered = Literal["waiting", "refused", "dead", "seen"]


@router.get("/status")
@audited("ops.status", denied_only=True)
async def status(operator: Operator, desk: AtDesk) -> Status:
    """Whether anything is missing or needs a person. Answers 200 while servers are away, and says which."""
    return await read_status(desk)


@router.get("/waiting")
@audited("ops.waiting")
async def list_waiting(
    operator: Operator,
    desk: AtDesk,
    state: Unregistered = "waiting",
    cause: Annotated[Name | None, Query(min_length=1, max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[Cursor | None, Query(max_length=300)] = None,
) -> WaitingPage:
    """Images that are not registered, by cause and one by one; `cause` is one that this list gave."""
    async with desk.database.transaction() as session:
        return await waiting.page(session, state, cause, limit, cursor)


@router.post("/waiting/{id}/assign", responses=problems(404, 409))
@audited("image.assign", by_itself=True)
async def assign_image(name: ImageName, asked: ExamAsked, operator: Operator, desk: AtDesk) -> ImageOutcome:
    """Say to which exam an image belongs, whoever brought it: registered at once, or when the exam opens."""
    async with desk.database.transaction() as session:
        done = await assign.assign(session, name, asked.examenID, operator.sub, asked.reason)
    return ImageOutcome(
        orthancInstanceId=done.entry.orthanc_id,
        sopInstanceUID=done.entry.sop_instance_uid,
        state=done.entry.state,
        code=done.entry.code,
        reason=done.entry.reason,
        examenID=asked.examenID,
        imageID=done.image.image_id if done.image else None,
    )


@router.post("/images/{id}/move", responses=problems(404, 409))
@audited("image.move", by_itself=True)
async def move_image(name: ImageName, asked: ExamAsked, operator: Operator, desk: AtDesk) -> ImageOutcome:
    """Put a registered image under another exam."""
    async with desk.database.transaction() as session:
        image = await correct.move(session, name, asked.examenID, operator.sub, asked.reason)
    return ImageOutcome(
        orthancInstanceId=image.orthanc_id,
        sopInstanceUID=image.sop_instance_uid,
        state=State.REGISTERED,
        examenID=image.exam_id,
        imageID=image.image_id,
    )


@router.post("/images/{id}/unlink", responses=problems(404, 409))
@audited("image.unlink", by_itself=True)
async def unlink_image(name: ImageName, asked: WhyAsked, operator: Operator, desk: AtDesk) -> ImageOutcome:
    """Take a registered image out of its exam: it waits until it is assigned, registered by HTTP, or named anew."""
    async with desk.database.transaction() as session:
        done = await correct.unlink(session, name, operator.sub, asked.reason)
    return ImageOutcome(
        orthancInstanceId=done.image.orthanc_id,
        sopInstanceUID=done.image.sop_instance_uid,
        state=done.entry.state if done.entry else None,
        code=done.entry.code if done.entry else None,
        reason=done.entry.reason if done.entry else None,
    )


@router.post("/reconcile", status_code=202)
@audited("reconcile", by_itself=True)
async def reconcile(asked: ReconcileAsked, operator: Operator, desk: AtDesk) -> ReconcileStarted:
    """Have every undecided image told anew now, and, if `full`, all of Orthanc compared with the ledger."""
    async with desk.database.transaction() as session:
        return await reconciling.reconcile(session, operator.sub, asked.reason, full=asked.full)


@router.get("/timeline/{id}", responses=problems(404, 409))
@audited("ops.timeline")
async def timeline(name: ImageName, operator: Operator, desk: AtDesk) -> Timeline:
    """What happened to one image, hop by hop, and what to type next."""
    return await read_timeline(desk, name)


@router.get("/consumers")
@audited("ops.consumers", denied_only=True)
async def list_consumers(operator: Operator, desk: AtDesk) -> Consumers:
    """The queues that can be paused, and how they are doing."""
    return Consumers(items=await _consumers(desk))


@router.put("/consumers/{queue}/pause", responses=problems(404))
@audited("consumer.pause", by_itself=True)
async def pause_consumer(queue: QueueName, asked: WhyAsked, operator: Operator, desk: AtDesk) -> Consumer:
    """Consume no more from a queue, in any replica, within a second; one that is paused stays as it was."""
    async with desk.database.transaction() as session:
        await pauses.pause(session, queue, operator.sub, asked.reason)
    return await _consumer(desk, queue)


@router.delete("/consumers/{queue}/pause", responses=problems(404))
@audited("consumer.resume", by_itself=True)
async def resume_consumer(queue: QueueName, operator: Operator, desk: AtDesk) -> Consumer:
    """Consume again; `messages` says how many wait."""
    async with desk.database.transaction() as session:
        await pauses.resume(session, queue, operator.sub)
    return await _consumer(desk, queue)


async def _consumer(desk: Desk, queue: str) -> Consumer:
    return next(one for one in await _consumers(desk) if one.queue == queue)


async def _consumers(desk: Desk) -> list[Consumer]:
    async with desk.database.transaction() as session:
        standing = await pauses.paused(session)
    return pauses.described(standing, await count_queues(desk, WORK_QUEUES))
