"""What operators ask and do over HTTP, except dead letters; the command `examflow` uses these routes alone."""

from fastapi import APIRouter

from shared.service import problems

router = APIRouter(prefix="/ops", tags=["ops"], responses=problems(401, 403, 503))
