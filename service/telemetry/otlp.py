"""Traces over OTLP: OpenTelemetry's SDK, whose exporting is on a thread of its own, behind a bounded queue.

The tracer provider is an object of ours: the global one is vLLM's, for its own spans to the same collector.
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
"""Of another's logger, which may quote a collector's whole answer."""

# OpenTelemetry's names, where it has one; any other fact is `firstword.*`.
_NAMES = {
    "model": "gen_ai.request.model",
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "status": "http.response.status_code",
}


def collector_url(endpoint: str, protocol: OtlpProtocol) -> str:
    """The address as exporters take it: over HTTP, the default path where none is given. Raises `StartError`."""
    schemes = ("http", "https", "") if protocol == "grpc" else ("http", "https")
    try:
        url = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
        is_one = url.scheme in schemes and bool(url.hostname) and url.port != 0
        has_secret = bool(url.username or url.password or url.query)
    except ValueError:  # A port that is no number, a bracket that does not close.
        is_one = has_secret = False
    if has_secret:  # Exporters quote the address in what they log.
        raise StartError("FIRSTWORD_OTLP_ENDPOINT is an address alone: a key goes into OTEL_EXPORTER_OTLP_HEADERS.")
    if not is_one:
        raise StartError("FIRSTWORD_OTLP_ENDPOINT must be http://HOST:PORT or https://HOST:PORT.")
    return f"{endpoint.rstrip('/')}/v1/traces" if protocol == "http/protobuf" and url.path in ("", "/") else endpoint


class OtlpTraces(Traces):
    def __init__(self, endpoint: str, protocol: OtlpProtocol, sample_ratio: float, version: str) -> None:
        _tame_logs()
        url = collector_url(endpoint, protocol)
        try:
            # `insecure` is for an address without a scheme: https is secure all the same.
            exporter: SpanExporter = GrpcExporter(url, insecure=True) if protocol == "grpc" else HttpExporter(url)
            self._provider = TracerProvider(
                sampler=ParentBased(TraceIdRatioBased(sample_ratio)), resource=_resource(version), shutdown_on_exit=False
            )
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        except Exception as error:
            raise StartError(f"Traces can't be sent ({type(error).__name__}); see the OTEL_* variables.") from None
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
        with contextlib.suppress(Exception):  # Whatever can't be sent any more is no reason not to end.
            closing(self._provider).join(within_s)


def closing(provider: TracerProvider) -> threading.Thread:
    """A thread that sends what a provider still holds: join it for as long as you have. The SDK would wait for half a minute."""
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
        # One look at both clocks for all of a turn's times: a wall clock that is set meanwhile doesn't tear the turn apart.
        self._monotonic_epoch_ns = time.time_ns() - time.monotonic_ns()
        self._tracer = tracer
        self._failures = failures
        # From an empty context, never the current one: without a valid `traceparent` this begins a trace.
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
    """Says a thing once a minute at most; as a handler, what another logger says of it."""

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
    """OpenTelemetry says much while a collector is down, and quotes callers' headers that it can't read. Of exporting, a line a
    minute is kept, also of vLLM's spans; of the rest nothing.
    """
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    warner = _Warner("trouble with the collector of traces")
    for name in ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal"):
        exporting = logging.getLogger(name)
        exporting.setLevel(logging.WARNING)
        exporting.propagate = False
        exporting.handlers = [warner]


def _resource(version: str) -> Resource:
    """Who we are, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES says otherwise."""
    ours = Resource({"service.name": "firstword", "service.version": version})
    return Resource.create().merge(ours).merge(OTELResourceDetector().detect())
