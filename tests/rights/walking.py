"""A row asked of a running system, role by role; what differs from the table comes back in words."""

import re
import uuid
from collections.abc import Iterator

import httpx

from tests.rights import asking
from tests.rights.reading import Row
from tests.rights.things import Things

HIDDEN = ("400", "404")
_CODES = {401: ("/problems/unauthenticated", "/problems/not-internal"), 403: ("/problems/scope-missing",)}
_NO_ROUTE = "/problems/route-unknown"


def walk(row: Row, things: Things) -> Iterator[str]:
    """What is not as the row says: the refusals first, which must leave everything as it was."""
    refused = {role: cell for role, cell in row.expected.items() if not cell.startswith("2")}
    asking.thing(row, things, succeeds=False)
    for role in row.expected:  # what the refusals need is there before the first look
        asking.request(row, things.unknown, role, things)
    before = things.state() if refused and row.about != "-" else None
    for role, cell in refused.items():
        yield from _cell(row, role, cell, things)
    if before is not None and things.state() != before:
        yield f"{row}: a refusal left something changed"
    for role, cell in row.expected.items():
        if role not in refused:
            yield from _cell(row, role, cell, things)
    yield from _gateway(row, things)


def _cell(row: Row, role: str, cell: str, things: Things) -> Iterator[str]:
    status, more = int(cell.rstrip("+-")), cell.endswith("+")
    mark = str(uuid.uuid4())
    answer = _ask(row, role, things, mark, succeeds=status < 300)
    got = _told(answer)
    if answer.status_code != status:
        yield f"{row}: {role} gets {got}, not {cell}"
    elif status in _CODES and row.method != "HEAD" and answer.json()["type"] not in _CODES[status]:
        yield f"{row}: {role} gets {got}"
    elif (str(status) in HIDDEN or cell.endswith("-")) and row.about not in ("-", "for-exam"):
        unknown = _ask(row, role, things, mark, succeeds=False, known=False)
        if (_whole(answer) == _whole(unknown)) == more:
            yield f"{row}: {role} gets {got}, and for an unknown one {_told(unknown)}: {'told' if more else 'hidden'}?"


def _ask(
    row: Row,
    role: str,
    things: Things,
    mark: str,
    *,
    succeeds: bool,
    known: bool = True,
    service: str = "",
    base: str = "",
) -> httpx.Response:
    about = asking.thing(row, things, succeeds=succeeds) if known else things.unknown
    path = base + asking.path(row, about, things)
    sent = asking.request(row, about, role, things)
    return things.ask(service or row.service, role, row.method, path, headers={"X-Correlation-ID": mark}, **sent)


def _gateway(row: Row, things: Things) -> Iterator[str]:
    """Both addresses of the gateway lead to the service or to nothing, for someone with a good token."""
    role, mark = "noscope", str(uuid.uuid4())
    for base in ("", "/api"):
        answer = _ask(row, role, things, mark, succeeds=False, service="gateway", base=base)
        routed = answer.status_code != 404 or (row.method != "HEAD" and answer.json()["type"] != _NO_ROUTE)
        if routed != (row.gateway in ("yes", "own")):
            yield f"{row}: at the gateway, {base or 'bare'}, {_told(answer)}"
        elif row.gateway == "yes" and str(answer.status_code) != row.expected[role]:
            yield f"{row}: {role} gets {_told(answer)} at the gateway, not {row.expected[role]}"


def _whole(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    """All of an answer but its date."""
    headers = sorted((name.lower(), value) for name, value in answer.headers.items() if name.lower() != "date")
    return answer.status_code, headers, answer.content


def _told(answer: httpx.Response) -> str:
    """The status, and the problem's code."""
    found = re.search(r'"type": ?"/problems/([a-z-]+)"', answer.text)
    return f"{answer.status_code} {found[1]}" if found else str(answer.status_code)


def refuses_other_methods(missing: set[tuple[str, str, str]], things: Things) -> Iterator[str]:
    """What no route serves is 405, whoever asks and whatever is behind it."""
    for service, method, path in sorted(missing):
        row = Row(service, method, path, "registered", "no", {})
        for role in ("none", "oversee"):
            answer = _ask(row, role, things, str(uuid.uuid4()), succeeds=False)
            if answer.status_code != 405 or (
                method != "HEAD" and answer.json()["type"] != "/problems/method-not-allowed"
            ):
                yield f"{row}: {role} gets {_told(answer)}, not 405"
