"""Dead letters over HTTP: list, show, replay, drop."""

from fastapi import APIRouter

from shared.service import problems

router = APIRouter(prefix="/ops/dead-letters", tags=["ops"], responses=problems(401, 403, 503))
