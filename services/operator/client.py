"""Examflow's HTTP interface as the command uses it: what is refused becomes one sentence."""

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx

from services.operator.errors import OperatorError, TryLater
from services.operator.settings import Settings


class Client:
    """Asks the gateway with the operator's token."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, path: str, **parameters: Any) -> Any:
        """The answer's JSON."""
        return self._ask("GET", path, params={k: v for k, v in parameters.items() if v is not None})

    def post(self, path: str, body: Any = None) -> Any:
        """The answer's JSON."""
        return self._ask("POST", path, json=body if body is not None else {})

    def post_bytes(self, path: str, body: bytes, content_type: str) -> Any:
        """The answer's JSON, for a body that is sent as it is."""
        return self._ask("POST", path, content=body, headers={"Content-Type": content_type})

    def put(self, path: str, body: Any = None) -> Any:
        """The answer's JSON."""
        return self._ask("PUT", path, json=body if body is not None else {})

    def delete(self, path: str) -> Any:
        """The answer's JSON."""
        return self._ask("DELETE", path)

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise OperatorError(f"{self._http.base_url} does not answer ({error}); is EXAMFLOW_URL right?") from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise (TryLater if answer.status_code in (503, 504) else OperatorError)(_sentence(answer))


def quoted(part: str) -> str:
    """One step of a path, whatever was typed."""
    return quote(part, safe="")


def _sentence(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        return f"{problem['message']} (HTTP {answer.status_code}, correlation id {problem['correlationId']})"
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.url} answered with HTTP {answer.status_code}: is EXAMFLOW_URL the gateway's address?"


@contextlib.contextmanager
def connected(settings: Settings) -> Iterator[Client]:
    """A client for one command."""
    if settings.examflow_token is None:
        raise OperatorError(
            "EXAMFLOW_TOKEN (or EXAMFLOW_TOKEN_FILE) is not set: it needs a bearer token with the scope ops."
        )
    headers = {"Authorization": f"Bearer {settings.examflow_token.get_secret_value()}"}
    with httpx.Client(
        base_url=settings.examflow_url,
        headers=headers,
        timeout=settings.examflow_answer_seconds,
        verify=settings.tls(),
    ) as http:
        yield Client(http)
