"""Traces over OTLP. OpenTelemetry's SDK exports them on its own thread, behind a bounded queue.

The tracer provider is our own object. The global provider is vLLM's, which sends vLLM's spans to the same collector.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode, Tracer, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.domain import Outcome
from service.errors import StartError
from service.telemetry.traces import OtlpProtocol, Traces, TurnSpan

_log = structlog.get_logger("firstword.traces")
_WARN_EVERY_S = 60.0
_LONGEST_WORDS = 300
"""Maximum number of characters of another logger's message, which may quote a collector's whole response."""

# OpenTelemetry's attribute names, where they exist. Any other attribute is `firstword.*`.
_NAMES = {
    "model": "gen_ai.request.model",
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "status": "http.response.status_code",
}


def collector_url(endpoint: str, protocol: OtlpProtocol) -> str:
    """Return the address for exporters. Over HTTP, the default path is added if there is none. Raises `StartError`."""
    schemes = ("http", "https", "") if protocol == "grpc" else ("http", "https")
    try:
        url = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
        is_one = url.scheme in schemes and bool(url.hostname) and url.port != 0
        has_secret = bool(url.username or url.password or url.query)
    except ValueError:  # The port is not a number, or a bracket is not closed.
        is_one = has_secret = False
    if has_secret:  # Exporters log the address.
        raise StartError(
            "FIRSTWORD_OTLP_ENDPOINT must have no user, password or query. Set a key in OTEL_EXPORTER_OTLP_HEADERS instead."
        )
    if not is_one:
        raise StartError("FIRSTWORD_OTLP_ENDPOINT must be http://HOST:PORT or https://HOST:PORT.")
    return f"{endpoint.rstrip('/')}/v1/traces" if protocol == "http/protobuf" and url.path in ("", "/") else endpoint


class OtlpTraces(Traces):
    """Sends spans to an OTLP collector."""

    def __init__(self, endpoint: str, protocol: OtlpProtocol, sample_ratio: float, version: str) -> None:
        _tame_logs()
        url = collector_url(endpoint, protocol)
        try:
            # `insecure` only affects an address without a scheme. https stays secure.
            exporter: SpanExporter = GrpcExporter(url, insecure=True) if protocol == "grpc" else HttpExporter(url)
            self._provider = TracerProvider(
                sampler=ParentBased(TraceIdRatioBased(sample_ratio)), resource=_resource(version), shutdown_on_exit=False
            )
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        except Exception as error:
            raise StartError(f"Traces cannot be sent ({type(error).__name__}). Check the OTEL_* environment variables.") from None
        self._tracer = self._provider.get_tracer("firstword", version)
        self._propagator = TraceContextTextMapPropagator()
        self._failures = _Warner("tracing failed")

    def begin(self, headers: Mapping[str, str], started_at_s: float) -> TurnSpan | None:
        try:
            return _OtlpTurnSpan(self._tracer, self._propagator, headers, started_at_s, self._failures)
        except Exception as error:
            self._failures.warn(cause=type(error).__name__)
            return None

    def close(self, within_s: float) -> None:
        with contextlib.suppress(Exception):  # Spans that cannot be sent must not stop the process from ending.
            closing(self._provider).join(within_s)


def closing(provider: TracerProvider) -> threading.Thread:
    """Start a thread that sends the spans a provider still holds. Join it for as long as you can; the SDK may need 30 s."""
    thread = threading.Thread(target=provider.shutdown, name="closing traces", daemon=True)
    thread.start()
    return thread


class _OtlpTurnSpan(TurnSpan):
    def __init__(
        self,
        tracer: Tracer,
        propagator: TraceContextTextMapPropagator,
        headers: Mapping[str, str],
        started_at_s: float,
        failures: "_Warner",
    ) -> None:
        # Both clocks are read once for all times of a turn. So a wall clock that is set meanwhile does not distort them.
        self._monotonic_epoch_ns = time.time_ns() - time.monotonic_ns()
        self._tracer = tracer
        self._failures = failures
        # Start from an empty context, never from the current one. Without a valid `traceparent` this begins a new trace.
        caller = propagator.extract(headers, Context())
        self._span = tracer.start_span("turn", caller, SpanKind.SERVER, start_time=self._wall_ns(started_at_s))
        self._within = set_span_in_context(self._span, Context())
        if self._span.is_recording():
            self.trace_id = format_trace_id(self._span.get_span_context().trace_id)
        engine_headers: dict[str, str] = {}
        propagator.inject(engine_headers, self._within)
        self.engine_headers = engine_headers

    def end(self, stages: Sequence[tuple[str, float, float]], facts: Mapping[str, str | int | float], error: str | None) -> None:
        if not self._span.is_recording():
            return
        try:
            ended_ns = None
            for name, begin_s, end_s in stages:
                ended_ns = self._wall_ns(end_s)
                self._tracer.start_span(name, self._within, start_time=self._wall_ns(begin_s)).end(ended_ns)
            self._span.set_attribute("gen_ai.operation.name", "chat")
            self._span.set_attributes({_NAMES.get(name, f"firstword.{name}"): fact for name, fact in facts.items()})
            if facts.get("outcome") == Outcome.FAILED:
                self._span.set_attribute("error.type", error or "unknown")
                self._span.set_status(StatusCode.ERROR, error)
            self._span.end(ended_ns)
        except Exception as failure:
            self._failures.warn(cause=type(failure).__name__)

    def _wall_ns(self, monotonic_s: float) -> int:
        return int(monotonic_s * 1e9) + self._monotonic_epoch_ns


class _Warner(logging.Handler):
    """Logs one event at most once a minute. As a handler, it logs the messages of another logger under that event."""

    def __init__(self, event: str) -> None:
        super().__init__()
        self._event = event
        self._silent_until_s = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        self.warn(said=record.getMessage()[:_LONGEST_WORDS])

    def warn(self, **facts: Any) -> None:
        if (now_s := time.monotonic()) >= self._silent_until_s:
            self._silent_until_s = now_s + _WARN_EVERY_S
            _log.warning(self._event, **facts)


def _tame_logs() -> None:
    """Limit what OpenTelemetry logs. It logs a lot while a collector is down, and it quotes callers' headers that it cannot read.

    Exporter warnings are kept, at most one line a minute, also for vLLM's spans. Everything else is dropped.
    """
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    warner = _Warner("traces could not be exported")
    for name in ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal"):
        exporting = logging.getLogger(name)
        exporting.setLevel(logging.WARNING)
        exporting.propagate = False
        exporting.handlers = [warner]


def _resource(version: str) -> Resource:
    """Return the service's name and version, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES sets others."""
    ours = Resource({"service.name": "firstword", "service.version": version})
    return Resource.create().merge(ours).merge(OTELResourceDetector().detect())
