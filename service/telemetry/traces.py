"""The interface to the traces of turns. otlp.py implements it. trace_setup.py imports otlp.py only if traces are configured.

    traces = make_traces(endpoint=..., protocol=..., sample_ratio=..., version=...)          # None if traces are off
    span = traces.begin(headers, started_at_s)                                               # when the turn begins
    engine.generate(prepared, trace_headers=span.engine_headers)
    span.end(stages, facts, error)                                                           # when it ends, in any way
    traces.close(within_s)                                                                   # before the process ends

Only `make_traces` raises, only `close` waits, and nothing is called for each token.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

OtlpProtocol = Literal["grpc", "http/protobuf"]


class TurnSpan(ABC):
    """The span of one turn, until it ends."""

    trace_id: str | None = None
    """Trace ID for the turn's log line, 32 hexadecimal digits. None if the turn is not sampled."""
    engine_headers: Mapping[str, str] | None = None
    """Trace context for the engine's own spans (W3C `traceparent`, `tracestate`). Also set if the turn is not sampled."""

    @abstractmethod
    def end(self, stages: Sequence[tuple[str, float, float]], facts: Mapping[str, str | int | float], error: str | None) -> None:
        """End the span. `stages` has the name, begin and end of each stage in monotonic seconds; the turn ends with the last.

        `facts` are fields of the turn's log line, with the same names. `error` is the code of the error that ended the turn
        early. Neither may have an exception's message or content of the conversation.
        """


class Traces(ABC):
    """Makes and sends the spans of turns."""

    @abstractmethod
    def begin(self, headers: Mapping[str, str], started_at_s: float) -> TurnSpan | None:
        """Begin the span of a turn that began at this monotonic time. Returns None if that fails.

        `headers` are the caller's headers, with names in lower case.
        """

    @abstractmethod
    def close(self, within_s: float) -> None:
        """Send the spans that are still queued. Blocks for up to `within_s` seconds. Spans that end later are not sent."""
