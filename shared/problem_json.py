"""Every refusal leaves as `application/problem+json` (RFC 9457), in the caller's language; FastAPI's 422 never does."""

import re
from typing import Any

import structlog
from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import FieldError, InvalidInput, Language, Problem
from shared.validation_words import in_words

log = structlog.get_logger()


class ProblemField(BaseModel):
    field: str
    problem: str
    value: str | None = None


class ProblemDocument(BaseModel):
    """RFC 9457, with `message` (the sentence of `detail`, for a person) and the correlation id."""

    type: str
    title: str
    status: int
    detail: str
    message: str
    correlationId: str
    errors: list[ProblemField] | None = None


class RouteUnknown(Problem):
    status, code, title = 404, "route-unknown", "No such address"
    en = "There is nothing at this address; check the path."
    fr = "Il n'y a rien à cette adresse ; vérifiez le chemin."


class MethodNotAllowed(Problem):
    status, code, title = 405, "method-not-allowed", "Method not allowed"
    en = "This address does not take this method; see the Allow header."
    fr = "Cette adresse n'accepte pas cette méthode ; voyez l'en-tête Allow."


class BodyUnreadable(Problem):
    status, code, title = 400, "body-unreadable", "Body unreadable"
    en = "The request body cannot be read; send JSON as UTF-8."
    fr = "Le corps de la requête est illisible ; envoyez du JSON en UTF-8."


def language_of(accept_language: str) -> Language:
    """French if it is preferred to English (RFC 9110, 12.5.4), else English."""
    weights = {"en": 0.0, "fr": 0.0}
    for part in accept_language.lower().split(","):
        match = re.fullmatch(r"\s*(en|fr)(?:-[a-z0-9-]+)?\s*(?:;\s*q=([0-9.]+))?\s*", part)
        if match:
            weights[match[1]] = max(weights[match[1]], _quality(match[2]))
    return "fr" if weights["fr"] > weights["en"] else "en"


def _quality(text: str | None) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        return 0.0


def problem_response(request: Request, problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """The problem document of a refusal, in the language the request asks for."""
    language = language_of(request.headers.get("accept-language", ""))
    sentence = problem.sentence(language)
    document: dict[str, Any] = {
        "type": f"/problems/{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": sentence,
        "message": sentence,
        "correlationId": correlation_id.get() or "",
    }
    if problem.errors:
        document["errors"] = [error.said(language) for error in problem.errors]
    headers = {"Cache-Control": "no-store"} | (headers or {}) | problem.headers()
    return JSONResponse(document, problem.status, headers, media_type="application/problem+json")


def _route(request: Request) -> str:
    """The address as the API describes it: what stands in its place was typed by somebody, and may name a patient."""
    return str(getattr(request.scope.get("route"), "path", "unknown"))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    level = log.error if error.status >= 500 else log.info
    level("request.refused", status=error.status, code=error.code, path=_route(request), why=str(error))
    return problem_response(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = [in_words(item) for item in error.errors()]
    return await _refused(request, InvalidInput(fields))


async def _routing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known: dict[int, Problem] = {404: RouteUnknown(), 405: MethodNotAllowed(), 400: BodyUnreadable()}
    problem = known.get(error.status_code, Problem())
    return problem_response(request, problem, dict(error.headers or {}))


async def _client_gone(request: Request, error: Exception) -> Response:
    log.info("request.abandoned", path=_route(request))
    return Response(status_code=400)  # nobody is left to read it


class _Unforeseen:
    """ASGI middleware: an error that nobody foresaw is a 500 as well.

    Starlette's own handler answers, and then raises the error again: the server closes the connection behind an answer
    that did not announce it, and a gateway's next request on it is lost.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; answer what fails before its answer began."""
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            log.exception("request.failed", path=_route(Request(scope)), kind=type(error).__name__)
            await problem_response(Request(scope), Problem())(scope, receive, send)


def install(app: FastAPI) -> None:
    """Make every error of the app leave as a problem document."""
    app.add_exception_handler(Problem, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _routing)
    app.add_exception_handler(ClientDisconnect, _client_gone)
    app.add_middleware(_Unforeseen)


__all__ = ["FieldError", "ProblemDocument", "install", "language_of", "problem_response"]
