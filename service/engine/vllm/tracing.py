"""vLLM's own spans: what it must be told to send them to our collector, as part of our traces.

Its provider is OpenTelemetry's global one, made when the engine is.
"""

import threading
from collections.abc import Mapping, MutableMapping

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from service.telemetry.otlp import closing, collector_url
from service.telemetry.traces import OtlpProtocol

UNTRACED: Mapping[str, str] = {"traceparent": f"00-{1:032x}-{1:016x}-00"}
"""The context of a turn that is nobody's to trace (a warm-up): without one vLLM makes a trace of it, whatever the sampling."""

_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


def tracing_args(endpoint: str | None, protocol: OtlpProtocol, environ: MutableMapping[str, str]) -> dict[str, str]:
    """Our engine arguments; none without an endpoint. Sets the environment variables that vLLM takes the rest from."""
    if endpoint is None:
        # vLLM's way to tell its processes. Inherited from whoever started us, it would make them send what nobody asked for.
        environ.pop(_ENDPOINT, None)
        return {}
    environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = protocol
    if "service.name=" not in environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        environ.setdefault("OTEL_SERVICE_NAME", "firstword")  # As our own spans: the two are one service.
    return {"otlp_traces_endpoint": collector_url(endpoint, protocol)}


def closing_engine_spans() -> threading.Thread | None:
    """A thread that sends what vLLM still holds in this process; None where it makes no spans."""
    provider = trace.get_tracer_provider()
    return closing(provider) if isinstance(provider, TracerProvider) else None
