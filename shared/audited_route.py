"""Which requests are audited, and how each ended: a record is kept before the answer leaves.

`@audited("image.view")` below a route's decorator says what it does. A route whose own transaction keeps the record of
its success says `by_itself`: then only what was refused or failed is recorded here. One that is asked again and again
by programs says `denied_only`: then only who was denied is. `way` is said of each of its records, where somebody came
in without a token.
"""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from prometheus_client import Counter

from shared.correlation import correlation_id
from shared.errors import Problem
from shared.events import AuditRecord
from shared.permission import Caller

EndpointT = TypeVar("EndpointT", bound=Callable[..., Any])
RECORDS = Counter("examflow_audit_records", "Audit records, by what became of them", ["way"])
DENIED = "denied"
_MARK = "__audited__"
# Names in the path that say which exam or image a request is about.
_EXAM = "examenID"
_SUBJECTS = (
    *("sopInstanceUID", "seriesInstanceUID", "studyInstanceUID"),
    *("orthancInstanceId", "imageID", "id", "queue"),
)

remote_ip: contextvars.ContextVar[str | None] = contextvars.ContextVar("remote_ip", default=None)


class Auditor(Protocol):
    """Keeps records of the audit trail."""

    async def record(self, record: AuditRecord, *, must: bool = True) -> None:
        """Return once the record is kept as its settings demand; raise AuditAway where it cannot be.

        `must` is False for one that may be lost: anybody can make as many as he likes.
        """


@dataclass(frozen=True)
class Audited:
    """What a route does, in the words of the audit trail."""

    action: str
    by_itself: bool
    denied_only: bool
    way: str | None


def audited(
    action: str, *, by_itself: bool = False, denied_only: bool = False, way: str | None = None
) -> Callable[[EndpointT], EndpointT]:
    """Mark a route's function as audited."""

    def mark(endpoint: EndpointT) -> EndpointT:
        setattr(endpoint, _MARK, Audited(action, by_itself, denied_only, way))
        return endpoint

    return mark


def audited_as(endpoint: Callable[..., Any]) -> Audited | None:
    """How a route's function is audited; None where it is not."""
    return getattr(endpoint, _MARK, None)


def concerns(request: Request, *, exam: str | None, subject: str | None, action: str | None = None) -> None:
    """Say for the record which exam and image a request turned out to be about, and what it turned out to do."""
    request.state.concerns = [(exam, subject)]
    request.state.does = action


def concerns_all(request: Request, about: list[tuple[str | None, str | None]]) -> None:
    """The same of several exams: there is a record for each."""
    request.state.concerns = about


class AuditedRoute(APIRoute):
    """A route class for routers whose requests are audited."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, with its outcome recorded."""
        handle = super().get_route_handler()
        told = audited_as(self.endpoint)
        if told is None:
            return handle

        async def handle_audited(request: Request) -> Response:
            remote_ip.set(request.client.host if request.client else None)
            try:
                answer = await handle(request)
            except Problem as problem:
                if not told.denied_only or _ended(problem) == DENIED:
                    must = problem.status != 401 and not problem.by_anyone
                    for record in _records(request, told, _ended(problem), problem):
                        await _auditor(request).record(record, must=must)
                raise
            if not (told.by_itself or told.denied_only):
                ended = "unchanged" if answer.status_code == 304 else "done"
                await _recorded_or_closed(request, _records(request, told, ended), answer)
            return answer

        return handle_audited


async def _recorded_or_closed(request: Request, records: list[AuditRecord], answer: Response) -> None:
    """A stream that may not be sent is closed: its last step is what closes it."""
    auditor = _auditor(request)
    try:
        if len(records) == 1:
            await auditor.record(records[0])
        else:
            await asyncio.gather(*(auditor.record(record) for record in records))
    except BaseException:
        if answer.background is not None:
            await answer.background()
        raise


def _auditor(request: Request) -> Auditor:
    auditor: Auditor = request.app.state.auditor
    return auditor


def _records(request: Request, told: Audited, outcome: str, problem: Problem | None = None) -> list[AuditRecord]:
    """One for each exam that it is about."""
    hidden = [problem.hides] if problem and problem.hides else []
    about = getattr(request.state, "concerns", None) or hidden or [_named(request)]
    caller: Caller | None = getattr(request.state, "caller", None)
    return [
        AuditRecord(
            actor=_text(caller.sub, 255) if caller else None,
            action=getattr(request.state, "does", None) or told.action,
            outcome=outcome,
            examen_id=_text(exam, 36),
            subject=_text(subject, 255),
            reason=": ".join(filter(None, (told.way, problem.code if problem else None))) or None,
            correlation_id=correlation_id.get(),
            remote_ip=remote_ip.get(),
        )
        for exam, subject in about
    ]


def _ended(problem: Problem) -> str:
    if problem.hides or problem.status in (401, 403):
        return DENIED
    if problem.status == 404:
        return "unknown"
    return "refused" if problem.status < 500 else "failed"


def _named(request: Request) -> tuple[str | None, str | None]:
    """What the path names, which may be anything that somebody typed."""
    found = request.path_params
    return found.get(_EXAM), next((found[name] for name in _SUBJECTS if name in found), None)


def _text(value: str | None, length: int) -> str | None:
    """What fits a record; what does not is no identifier of ours, and only cut and cleaned for the eye."""
    return None if value is None else "".join(one for one in value if one.isprintable())[:length]
