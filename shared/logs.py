"""JSON lines on standard output, one per event, each with the correlation id; no patient data goes in."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from asgi_correlation_id import correlation_id

TOGETHER_SECONDS = 0.05  # for so long, lines wait for others


def _correlate(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.setdefault("correlation_id", correlation_id.get())
    return event


class _Together(logging.Handler):
    """Writes the lines of one moment together: a write for each is what a busy service would spend most time on.

    A warning and what is worse are written at once, with all that came before.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: list[str] = []
        self._writer: asyncio.AbstractEventLoop | None = None  # who will write them

    def emit(self, record: logging.LogRecord) -> None:
        """Called under the handler's lock."""
        try:
            self._lines.append(self.format(record) + "\n")
            if record.levelno >= logging.WARNING or not self._written_later():
                self.flush()
        except Exception:  # noqa: BLE001  # as every handler does: who logs is not to fail for it
            self.handleError(record)

    def flush(self) -> None:
        """Write what waits; also at the process's end."""
        with self.lock or contextlib.nullcontext():
            lines, self._lines, self._writer = self._lines, [], None
            if lines:
                self._stream.write("".join(lines))
                self._stream.flush()

    def _written_later(self) -> bool:
        """Have it done in a moment; False where there is no event loop to do it."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if self._writer is not loop:
            self._writer = loop
            loop.call_later(TOGETHER_SECONDS, self.flush)
        return True


def configure_logs(service: str, level: str) -> None:
    """Send structlog and the standard library's loggers (uvicorn's among them) through one JSON renderer."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _correlate,
        lambda _, __, event: {"service": service, **event},
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = _Together(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error"):  # its access log is switched on and off by its own option
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    # These tell each request or message at INFO; ours tell once what came of it.
    for name in ("httpx", "aio_pika", "aiormq", "asgi_correlation_id"):
        logging.getLogger(name).setLevel(logging.WARNING)
