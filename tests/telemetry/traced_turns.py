"""Turns for tracing tests, without a service."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from service.telemetry.trace_setup import make_traces
from service.telemetry.traces import OtlpProtocol, Traces, TurnSpan

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00"
STAGES = ("auth", "read", "normalize", "render", "wait", "prefill", "answer")
PROTOCOLS: tuple[OtlpProtocol, ...] = ("http/protobuf", "grpc")


@contextmanager
def traces_to(endpoint: str, protocol: OtlpProtocol = "http/protobuf", sample_ratio: float = 1.0) -> Iterator[Traces]:
    """Make traces. At the end of the scope, queued spans are sent for up to 5 s."""
    made = make_traces(endpoint=endpoint, protocol=protocol, sample_ratio=sample_ratio, version="1.2.3")
    assert made is not None
    try:
        yield made
    finally:
        made.close(5)


def take_turn(traces: Traces, headers: Mapping[str, str], *, error: str | None = None, **facts: str | float) -> TurnSpan:
    """Trace a turn of 0.7 s that ends now. Each stage takes 0.1 s."""
    began_s = time.monotonic() - 0.7
    span = traces.begin(headers, began_s)
    assert span is not None
    stages = [(name, began_s + place / 10, began_s + (place + 1) / 10) for place, name in enumerate(STAGES)]
    if error is not None:
        facts["error"] = error
    span.end(stages, {"turn_id": "t-1", "tenant": "acme", "model": "m", "outcome": "on_time", **facts}, error)
    return span
