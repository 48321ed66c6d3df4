"""What makes every service look alike: problems, correlation, tokens, metrics, health, offline API pages."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from prometheus_fastapi_instrumentator import Instrumentator

from shared import correlation, problem_json
from shared.cancellation import only_ours, within
from shared.logs import configure_logs
from shared.settings import ServiceSettings
from shared.tls import trouble
from shared.tokens import TokenVerifier

log = structlog.get_logger()

Check = Callable[[], Awaitable[None]]
Work = Callable[[], Awaitable[None]]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
_PROBLEM: dict[str, Any] = {"model": problem_json.ProblemDocument, "description": "Refused"}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route for its OpenAPI description."""
    return dict.fromkeys(statuses, _PROBLEM)


def create_service(
    name: str,
    settings: ServiceSettings,
    *,
    lifespan: Lifespan,
    routers: Iterable[APIRouter],
    checks: Mapping[str, Check],
) -> FastAPI:
    """A FastAPI app with the routers, and with what every service has. It opens nothing before its lifespan.

    `checks` are real round trips to what the service needs, by name: readiness is all of them.
    """
    configure_logs(name, settings.log_level)
    app = FastAPIOffline(title=f"Examflow {name}", version="1", lifespan=lifespan)
    app.state.tokens = TokenVerifier(settings.tokens)
    problem_json.install(app)
    for router in routers:
        app.include_router(router, responses=problems(400))
    app.include_router(_health(checks, settings.ready_seconds))
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=[correlation.HEADER, "ETag", "Retry-After"],
        )
    correlation.install(app)
    Instrumentator(excluded_handlers=["/metrics", "/health/.*"]).instrument(app).expose(app, include_in_schema=False)
    _openapi_without_422(app)
    return app


def _health(checks: Mapping[str, Check], seconds: float) -> APIRouter:
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live")
    async def live() -> dict[str, str]:
        """The process answers."""
        return {"status": "live"}

    @router.get("/ready", responses={503: {"description": "Not ready; `checks` says what does not answer"}})
    async def ready() -> JSONResponse:
        """Everything this service needs answers, asked now."""
        found = dict(zip(checks, await asyncio.gather(*(_ask(c, seconds) for c in checks.values())), strict=True))
        good = all(answer == "ok" for answer in found.values())
        return JSONResponse({"status": "ready" if good else "not ready", "checks": found}, 200 if good else 503)

    return router


async def _ask(check: Check, seconds: float) -> str:
    """`ok`, or what went wrong; whatever it is, the service is not ready and goes on."""
    try:
        async with within(seconds):
            await check()
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except Exception as error:  # noqa: BLE001  # a readiness answer must name any failure, and never fail itself
        return f"{type(error).__name__}: {trouble(error) or error}"[:200]
    return "ok"


def _openapi_without_422(app: FastAPI) -> None:
    """FastAPI documents a 422 for every route; what is sent is a 400 problem document."""
    document = app.openapi

    def openapi() -> dict[str, Any]:
        schema = document()
        for path in schema["paths"].values():
            for operation in path.values():
                operation.get("responses", {}).pop("422", None)
        for unused in ("HTTPValidationError", "ValidationError"):
            schema.get("components", {}).get("schemas", {}).pop(unused, None)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend the schema


async def every(seconds: float, work: Work, name: str) -> None:
    """Run the work again and again with a pause; a failure is logged and tried again next time."""
    while True:
        try:
            with only_ours():
                await work()
        except Exception as error:  # noqa: BLE001  # a background task that dies silently is worse than any error in it
            log.error("background.failed", task=name, kind=type(error).__name__, why=str(error)[:300])
        await asyncio.sleep(seconds)
