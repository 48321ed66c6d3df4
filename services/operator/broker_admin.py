"""RabbitMQ's HTTP interface as the command uses it, as administrator; what is refused becomes one sentence."""

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx

from services.operator.errors import OperatorError
from services.operator.settings import Settings

NAME = "RABBITMQ_MANAGEMENT_URL"


class BrokerAdmin:
    """Asks RabbitMQ; paths begin below /api."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    @property
    def host(self) -> str:
        """The machine that answers."""
        return self._http.base_url.host

    def find(self, path: str) -> Any:
        """What is there as JSON, or None."""
        answer = self._ask("GET", path)
        return None if answer.status_code == 404 else self._told(answer)

    def put(self, path: str, body: dict[str, Any]) -> None:
        """Make or replace."""
        self._told(self._ask("PUT", path, body))

    def post(self, path: str, body: dict[str, Any]) -> None:
        """Make."""
        self._told(self._ask("POST", path, body))

    def delete(self, path: str) -> bool:
        """Delete what may be there; False where RabbitMQ says that it is in use, or not empty."""
        answer = self._ask("DELETE", path)
        if answer.status_code == 400:
            return False
        if answer.status_code != 404:
            self._told(answer)
        return True

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            answer = self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            where = self._http.base_url
            raise OperatorError(f"RabbitMQ at {where} does not answer ({error}); is {NAME} right?") from error
        if answer.status_code == 401:
            raise OperatorError(f"RabbitMQ does not take user and password of {NAME}; they are an administrator's.")
        return answer

    def _told(self, answer: httpx.Response) -> Any:
        """The answer's JSON; a request's body may hold a password, so no more is told of it than its address."""
        try:
            answer.raise_for_status()
            return answer.json() if answer.content else None
        except (httpx.HTTPStatusError, ValueError) as error:
            request, status = answer.request, answer.status_code
            raise OperatorError(f"RabbitMQ answered {request.method} {request.url} with HTTP {status}.") from error


@contextlib.contextmanager
def administering(settings: Settings) -> Iterator[BrokerAdmin]:
    """RabbitMQ for one command. User and password leave the URL, so that none that is printed or logged has them."""
    if settings.rabbitmq_management_url is None:
        raise OperatorError(f"{NAME} is not set: it is http://user:password@host:port of a broker's administrator.")
    try:
        url = httpx.URL(settings.rabbitmq_management_url.get_secret_value())
    except httpx.InvalidURL as error:
        raise OperatorError(f"{NAME} is not an address: http://user:password@host:port is one.") from error
    if not (url.scheme in ("http", "https") and url.host and url.username and url.password):
        raise OperatorError(f"{NAME} needs all of http://user:password@host:port.")
    plain = url.copy_with(username=None, password=None, path=url.path.rstrip("/") + "/api")
    with httpx.Client(
        base_url=plain,
        auth=(url.username, url.password),
        timeout=settings.examflow_answer_seconds,
        verify=settings.tls(),
        trust_env=False,  # a proxy of the shell has no business between an administrator and the broker
    ) as http:
        yield BrokerAdmin(http)
