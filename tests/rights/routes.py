"""The routes of the services, from the apps themselves."""

import logging
from collections.abc import Iterator

from fastapi.routing import iter_route_contexts
from starlette.routing import Mount, Route, compile_path

from tests.rights.reading import SERVICES
from tests.unit.test_apps import MAKERS

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def routes() -> set[tuple[str, str, str]]:
    """Service, method and path of each, those that no OpenAPI document names too."""
    return {(service, method, path) for service in SERVICES for method, path in _of(service)}


def _of(service: str) -> Iterator[tuple[str, str]]:
    handlers, level = list(logging.root.handlers), logging.root.level
    app = MAKERS[service]()
    logging.root.handlers, logging.root.level = handlers, level
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, Mount):
            yield from ((method, f"{route.path}/{{path}}") for method in ("GET", "HEAD"))  # what StaticFiles serves
            continue
        assert isinstance(route, Route), f"what is {route}? tests/rights/routes.py does not know it"
        for method in sorted(context.methods or ()):
            yield method, str(context.path)


def not_taken(known: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """The methods that a path is not served with, by any route that fits it."""
    missing = set()
    for service, _, path in known:
        fitting = [(m, compile_path(p)[0]) for s, m, p in known if s == service]
        taken = {method for method, pattern in fitting if pattern.match(path)}
        missing |= {(service, method, path) for method in METHODS if method not in taken}
    return missing
