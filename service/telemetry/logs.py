"""Logs: structlog to stderr, JSON for machines or readable for people. Never a key, never what a message says."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from service.telemetry.log_queue import LogQueue


def configure_logs(log_format: Literal["auto", "json", "console"]) -> LogQueue:
    """Call once, before the first log line. Returns what the lines go through, to be emptied at the end."""
    sink = LogQueue(sys.stderr)
    is_console = log_format == "console" or (log_format == "auto" and sink.isatty())
    rendering: list[structlog.typing.Processor] = [structlog.processors.JSONRenderer()]
    if is_console:
        rendering = [_without_unknowns, structlog.dev.ConsoleRenderer(colors=sink.isatty(), sort_keys=False)]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,  # The request's ID, on every line of its turn.
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendering,
        ],
        logger_factory=structlog.WriteLoggerFactory(sink),  # type: ignore[arg-type]  # as much of a stream as it needs
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard library: their warnings only, on the same stream.
    logging.basicConfig(level=logging.WARNING, stream=sink, format="%(levelname)s %(name)s: %(message)s")
    # uvicorn has nothing left to say that is not said elsewhere, and the tracebacks it would print can quote a conversation.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return sink


def _without_unknowns(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A machine wants every field of a line, a person those that say something."""
    return {name: value for name, value in event.items() if value not in (None, [], {})}
