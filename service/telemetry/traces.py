"""The traces of turns, as an interface. otlp.py implements it; trace_setup.py imports that only where traces are configured.

    traces = make_traces(endpoint=..., protocol=..., sample_ratio=..., version=...)          # None: traces are off
    span = traces.begin(headers, started_at_s)                                               # as the turn begins
    engine.generate(prepared, trace_headers=span.engine_headers)
    span.end(stages, facts, error)                                                           # as it ends, however it does
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
    """For the turn's log line: 32 hexadecimal digits, None where the turn is not sampled."""
    engine_headers: Mapping[str, str] | None = None
    """The context that the engine's own spans continue (W3C `traceparent`, `tracestate`), also of a turn that is not sampled."""

    @abstractmethod
    def end(self, stages: Sequence[tuple[str, float, float]], facts: Mapping[str, str | int | float], error: str | None) -> None:
        """Of each stage its name, begin and end in monotonic seconds; the turn ends with the last. `facts` are what the turn's
        log line says, under the same names; `error` is the code of what ended it early. Never an exception's words, nor content.
        """


class Traces(ABC):
    """Where the spans of turns go."""

    @abstractmethod
    def begin(self, headers: Mapping[str, str], started_at_s: float) -> TurnSpan | None:
        """A turn that began at this monotonic time, with the caller's headers (their names in lower case). None: that failed."""

    @abstractmethod
    def close(self, within_s: float) -> None:
        """Send what is still here, as far as that goes in the time. Blocks; what ends later is not sent."""
