"""X-Correlation-ID: taken from the request if it is sane, else made, answered, and carried into events and logs."""

import re

from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from fastapi import FastAPI
from uuid_utils import uuid7

HEADER = "X-Correlation-ID"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")  # a UUID fits as well


def install(app: FastAPI) -> None:
    """Give every request a correlation id."""
    app.add_middleware(
        CorrelationIdMiddleware,
        header_name=HEADER,
        generator=lambda: str(uuid7()),
        validator=lambda text: _SANE.fullmatch(text) is not None,
        transformer=None,
    )


__all__ = ["HEADER", "correlation_id", "install"]
