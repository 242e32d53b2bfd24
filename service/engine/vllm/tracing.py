"""Configures vLLM to send its own spans to our collector, as part of our traces.

vLLM's tracer provider is OpenTelemetry's global one. vLLM makes it when the engine is made.
"""

import threading
from collections.abc import Mapping, MutableMapping

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from service.telemetry.otlp import closing, collector_url
from service.telemetry.traces import OtlpProtocol

UNTRACED: Mapping[str, str] = {"traceparent": f"00-{1:032x}-{1:016x}-00"}
"""Trace context of a turn that must not be traced (a warm-up). Without a context vLLM would trace it, whatever the sampling."""

_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


def tracing_args(endpoint: str | None, protocol: OtlpProtocol, environ: MutableMapping[str, str]) -> dict[str, str]:
    """Return our engine arguments for tracing. Empty without an endpoint. Also sets the environment variables that vLLM reads."""
    if endpoint is None:
        # vLLM passes the endpoint to its processes in this variable. An inherited value would make them send unwanted spans.
        environ.pop(_ENDPOINT, None)
        return {}
    environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = protocol
    if "service.name=" not in environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        environ.setdefault("OTEL_SERVICE_NAME", "firstword")  # The same name as for our own spans.
    return {"otlp_traces_endpoint": collector_url(endpoint, protocol)}


def closing_engine_spans() -> threading.Thread | None:
    """Start a thread that sends the spans that vLLM still holds in this process. None means that vLLM makes no spans."""
    provider = trace.get_tracer_provider()
    return closing(provider) if isinstance(provider, TracerProvider) else None
