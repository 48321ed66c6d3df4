"""What makes every service look alike: problems, correlation, tokens, metrics, health, offline API pages."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from prometheus_fastapi_instrumentator import Instrumentator, metrics

from shared import correlation, problem_json
from shared.cancellation import only_ours, within
from shared.keys import Keys
from shared.logs import configure_logs
from shared.settings import ServiceSettings
from shared.tls import trouble
from shared.tokens import TokenVerifier

log = structlog.get_logger()

Check = Callable[[], Awaitable[None]]
Work = Callable[[], Awaitable[None]]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
# One metric of each request, fine enough for a preview and long enough for an upload. The library's usual five would
# tell of a route's seconds more coarsely, and make a view dearer by a twelfth.
_SECONDS = metrics.latency(buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60))
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
    tokens, routers = TokenVerifier(settings.tokens), list(routers)
    if routers:  # who has none takes no tokens, and needs no keys
        lifespan = _reading_keys(lifespan, tokens.keys, settings.tokens.reread_seconds)
        checks = {**checks, "keys": tokens.keys.answers}
    app = FastAPIOffline(title=f"Examflow {name}", version="1", lifespan=lifespan)
    app.state.tokens = tokens
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
    measured = Instrumentator(excluded_handlers=["/metrics", "/health/.*"]).add(_SECONDS)
    measured.instrument(app).expose(app, include_in_schema=False)
    _openapi_without_422(app)
    return app


def _reading_keys(lifespan: Lifespan, keys: Keys, pause: float) -> Lifespan:
    """The same lifespan, with the keys read before the first request and every so often after it."""

    @contextlib.asynccontextmanager
    async def reading(app: FastAPI) -> AsyncIterator[None]:
        again = asyncio.create_task(every(pause, keys.read, "keys"), name="keys-again")
        try:
            await keys.read()
            async with lifespan(app):
                yield
        finally:
            again.cancel()
            await asyncio.gather(again, keys.aclose(), return_exceptions=True)

    return reading


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
    """FastAPI documents a 422 for every route, and JSON for every model; sent are a 400 and problem documents."""
    document = app.openapi

    def openapi() -> dict[str, Any]:
        schema = document()
        for path in schema["paths"].values():
            for operation in path.values():
                operation.get("responses", {}).pop("422", None)
                for response in operation.get("responses", {}).values():
                    _as_problem(response.get("content", {}))
        for unused in ("HTTPValidationError", "ValidationError"):
            schema.get("components", {}).get("schemas", {}).pop(unused, None)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend the schema


def _as_problem(content: dict[str, Any]) -> None:
    if content.get("application/json", {}).get("schema", {}).get("$ref", "").endswith("/ProblemDocument"):
        content["application/problem+json"] = content.pop("application/json")


async def every(seconds: float, work: Work, name: str) -> None:
    """Run the work again and again with a pause; a failure is logged and tried again next time."""
    while True:
        try:
            with only_ours():
                await work()
        except Exception as error:  # noqa: BLE001  # a background task that dies silently is worse than any error in it
            log.error("background.failed", task=name, kind=type(error).__name__, why=str(error)[:300])
        await asyncio.sleep(seconds)
