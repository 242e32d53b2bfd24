"""How vLLM is configured so that its spans reach our collector as part of our traces, and no other spans do."""

from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.engine.vllm.tracing import UNTRACED, closing_engine_spans, tracing_args


def test_vllm_gets_our_collector_our_protocol_and_our_name() -> None:
    environ: dict[str, str] = {}
    assert tracing_args("http://c:4318", "http/protobuf", environ) == {"otlp_traces_endpoint": "http://c:4318/v1/traces"}
    assert environ == {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_SERVICE_NAME": "firstword"}


def test_a_name_that_was_given_stays() -> None:
    by_name = {"OTEL_SERVICE_NAME": "voice"}
    tracing_args("c:4317", "grpc", by_name)
    assert by_name["OTEL_SERVICE_NAME"] == "voice"
    by_attribute = {"OTEL_RESOURCE_ATTRIBUTES": "team=a,service.name=voice"}
    tracing_args("c:4317", "grpc", by_attribute)
    assert "OTEL_SERVICE_NAME" not in by_attribute


def test_off_the_engines_processes_inherit_no_address() -> None:
    environ = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4317", "PATH": "/bin"}
    assert tracing_args(None, "grpc", environ) == {}
    assert environ == {"PATH": "/bin"}


def test_a_turn_that_is_nobodys_has_a_valid_context_that_is_not_sampled() -> None:
    context = get_current_span(TraceContextTextMapPropagator().extract(UNTRACED)).get_span_context()
    assert context.is_valid
    assert not context.trace_flags.sampled


def test_an_engine_without_spans_has_none_to_send() -> None:
    assert closing_engine_spans() is None
