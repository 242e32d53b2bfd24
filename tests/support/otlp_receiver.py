"""A real receiver of OTLP traces, as a collector is one: over HTTP (protobuf) or gRPC, on a free port. What it decodes is what
OpenTelemetry's own definitions say.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from service.telemetry.traces import OtlpProtocol


@dataclass(frozen=True)
class ReceivedSpan:
    """IDs are hexadecimal; `parent_id` is empty at the root of a trace."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    trace_state: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    status: str
    status_text: str
    events: int


@dataclass
class OtlpReceiver:
    endpoint: str = ""
    spans: list[ReceivedSpan] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    """Every request as it came: to look for what must not be in any."""
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)
    """Cleared, requests are received and not answered."""

    def named(self, name: str) -> list[ReceivedSpan]:
        return [span for span in self.spans if span.name == name]

    def the(self, name: str) -> ReceivedSpan:
        (span,) = self.named(name)
        return span

    def receive(self, payload: bytes, headers: dict[str, str]) -> None:
        self.answers.wait(30)
        self.raw.append(payload)
        self.headers.append(headers)
        self.spans += _decode(payload)


@contextmanager
def otlp_receiver(protocol: OtlpProtocol = "http/protobuf") -> Iterator[OtlpReceiver]:
    receiver = OtlpReceiver()
    receiver.answers.set()
    try:
        with (_over_grpc if protocol == "grpc" else _over_http)(receiver):
            yield receiver
    finally:
        receiver.answers.set()


@contextmanager
def _over_http(receiver: OtlpReceiver) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = self.rfile.read(int(self.headers["content-length"]))
            is_known = self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf"
            if is_known:
                receiver.receive(payload, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(200 if is_known else 404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            receiver.answers.set()
            server.shutdown()
            thread.join()


@contextmanager
def _over_grpc(receiver: OtlpReceiver) -> Iterator[None]:
    class Service(TraceServiceServicer):
        def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:
            receiver.receive(request.SerializeToString(), dict(context.invocation_metadata()))
            return ExportTraceServiceResponse()

    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        add_TraceServiceServicer_to_server(Service(), server)  # type: ignore[no-untyped-call]
        receiver.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield
        finally:
            receiver.answers.set()
            server.stop(grace=1).wait()


def _decode(payload: bytes) -> Iterator[ReceivedSpan]:
    request = ExportTraceServiceRequest.FromString(payload)
    for of_resource in request.resource_spans:
        resource = _mapping(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield _span(span, resource)


def _span(span: Span, resource: dict[str, Any]) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        trace_state=span.trace_state,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_mapping(span.attributes),
        resource=resource,
        status=Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        status_text=span.status.message,
        events=len(span.events),
    )


def _mapping(pairs: Any) -> dict[str, Any]:
    def value_of(pair: KeyValue) -> Any:
        kind = pair.value.WhichOneof("value")
        return getattr(pair.value, kind) if kind else None

    return {pair.key: value_of(pair) for pair in pairs}
