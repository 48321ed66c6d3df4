"""The registration service's HTTP routes. Each commits before it answers."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.registration_service import exams, images
from services.registration_service.by_http import HttpRegistrations
from services.registration_service.database import Database
from services.registration_service.exams import version_now
from services.registration_service.fate import fate_of
from services.registration_service.link import check_url
from services.registration_service.models import Exam
from services.registration_service.paging import Cursor
from services.registration_service.schemas import (
    ExamRecord,
    ExamToUpsert,
    ImageMove,
    ImagePage,
    ImageRecord,
    ImageToRegister,
    OrthancId,
    RegistrationState,
)
from services.registration_service.settings import Settings
from shared.audited_route import AuditedRoute, audited, concerns
from shared.errors import ExamUnknown, FieldError, InvalidInput
from shared.events import ExamId, ExamUpserted
from shared.permission import Caller
from shared.service import problems
from shared.tokens import Scoped

log = structlog.get_logger()
router = APIRouter(route_class=AuditedRoute, responses=problems(401, 403, 503))
ExamPath = Annotated[ExamId, Path(alias="examenID")]
ImagePath = Annotated[str, Path(alias="imageID", max_length=36, pattern=r"^[0-9a-f-]+$")]
Writer = Annotated[Caller, Depends(Scoped("images:write"))]
Reader = Annotated[Caller, Depends(Scoped("images:read"))]
Overseer = Annotated[Caller, Depends(Scoped("exams:all"))]
ExamKeeper = Annotated[Caller, Depends(Scoped("exams:write"))]
Asker = Annotated[Caller, Depends(Scoped("dicom:upload", "images:write", "images:read"))]


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


Db = Annotated[Database, Depends(_database)]


@router.post(
    "/examens-medicaux/images",
    status_code=201,
    tags=["images"],
    responses={200: {"model": ImageRecord}, **problems(404, 409, 502)},
)
@audited("image.register", by_itself=True)
async def register_image(request: Request, response: Response, caller: Writer, asked: ImageToRegister) -> ImageRecord:
    """Register an image under an exam: 201 the record, 200 the same record again."""
    settings: Settings = request.app.state.settings
    registrations: HttpRegistrations = request.app.state.registrations
    check_url(asked.url, settings.url_hosts)
    registered = await registrations.register(caller, asked)
    response.status_code = 201 if registered.created else 200
    log.info(
        "image.registered",
        created=registered.created,
        image_id=registered.image.image_id,
        exam=registered.image.exam_id,
        orthanc_id=registered.image.orthanc_id,
    )
    return ImageRecord.of(registered.image)


@router.get("/examens-medicaux/images/{imageID}", tags=["images"], responses=problems(404))
@audited("image.read")
async def read_image(request: Request, image_id: ImagePath, caller: Reader, database: Db) -> ImageRecord:
    """One image record."""
    async with database.transaction() as session:
        image = await images.seen_image(session, caller, image_id)
    concerns(request, exam=image.exam_id, subject=image.sop_instance_uid)
    return ImageRecord.of(image)


@router.put("/examens-medicaux/images/{imageID}", tags=["images"], responses=problems(404))
@audited("image.move", by_itself=True)
async def move_image(image_id: ImagePath, to: ImageMove, caller: Overseer, database: Db) -> ImageRecord:
    """Move a wrongly linked image to another exam; audited."""
    async with database.transaction() as session:
        image = await images.seen_image(session, caller, image_id, hold=True)
        exam = await images.seen_exam(session, caller, to.examenID)
        await images.move(session, image, exam.exam_id, caller.sub)
    return ImageRecord.of(image)


@router.get("/examens-medicaux/{examenID}/images", tags=["images"], responses=problems(404))
@audited("images.list")
async def list_images(
    exam_id: ExamPath,
    caller: Reader,
    database: Db,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[Cursor | None, Query(max_length=200)] = None,
) -> ImagePage:
    """An exam's images, newest first; `next` is the cursor of the page that follows, or null."""
    async with database.transaction() as session:
        exam = await images.seen_exam(session, caller, exam_id)
        found, following = await images.page(session, exam.exam_id, limit, cursor)
    return ImagePage(items=[ImageRecord.of(image) for image in found], next=following)


@router.put(
    "/examens-medicaux/{examenID}", tags=["exams"], responses={201: {"model": ExamRecord, "description": "Opened"}}
)
@audited("exam.upsert", by_itself=True)
async def upsert_exam(
    exam_id: ExamPath, asked: ExamToUpsert, response: Response, caller: ExamKeeper, database: Db
) -> ExamRecord:
    """Open or replace an exam; a lower or equal version changes nothing. Images that wait for it are registered."""
    if exam_id == "images":
        raise InvalidInput([FieldError("examenID", "is a word of these addresses", "est un mot de ces adresses")])
    wanted = ExamUpserted(
        examen_id=exam_id,
        accession_number=asked.accessionNumber,
        patient_id=asked.patientID,
        principals=asked.principals,
        version=version_now() if asked.version is None else asked.version,
    )
    async with database.transaction() as session:
        upserted = await exams.upsert(session, wanted, caller.sub)
    response.status_code = 201 if upserted.created else 200
    return ExamRecord.of(upserted.exam)


@router.get("/examens-medicaux/{examenID}", tags=["exams"], responses=problems(404))
@audited("exam.read")
async def read_exam(exam_id: ExamPath, caller: ExamKeeper, database: Db) -> ExamRecord:
    """An exam as it stands, for the account that writes exams."""
    async with database.transaction() as session:
        exam = await session.get(Exam, exam_id)
    if exam is None:
        raise ExamUnknown
    return ExamRecord.of(exam)


@router.get("/dicom/instances/{orthancInstanceId}/registration", tags=["images"], responses=problems(404))
@audited("image.fate", denied_only=True)
async def read_registration(
    orthanc_id: Annotated[OrthancId, Path(alias="orthancInstanceId")], caller: Asker, database: Db
) -> RegistrationState:
    """What became of a stored image: its state, the reason, and the record's id once there is one."""
    async with database.transaction() as session:
        return await fate_of(session, caller, orthanc_id)
