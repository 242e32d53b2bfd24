"""Logs: structlog to stderr, as JSON for machines or as readable lines for people. They never have a key or message content."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from service.telemetry.log_queue import LogQueue


def configure_logs(log_format: Literal["auto", "json", "console"]) -> LogQueue:
    """Configure all loggers. Call this once, before the first log line. Returns the queue, to be closed at the end."""
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
        logger_factory=structlog.WriteLoggerFactory(sink),  # type: ignore[arg-type]  # has the methods that are used
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard library. Only their warnings are kept, on the same stream.
    logging.basicConfig(level=logging.WARNING, stream=sink, format="%(levelname)s %(name)s: %(message)s")
    # All that uvicorn reports is logged elsewhere, and its tracebacks can quote a conversation.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return sink


def _without_unknowns(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop empty fields from a line for people. JSON lines keep every field."""
    return {name: value for name, value in event.items() if value not in (None, [], {})}
