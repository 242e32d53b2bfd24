"""Spans of turns, received by a real OTLP receiver."""

import subprocess
import sys
import time
from itertools import pairwise

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from service.telemetry.trace_setup import make_traces
from service.telemetry.traces import OtlpProtocol
from tests.support.otlp_receiver import otlp_receiver
from tests.telemetry.traced_turns import CALLER, PROTOCOLS, SAMPLED, STAGES, TRACE, UNSAMPLED, take_turn, traces_to


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_trace_from_the_caller_to_the_engine(protocol: OtlpProtocol) -> None:
    with otlp_receiver(protocol) as receiver:
        with traces_to(receiver.endpoint, protocol) as traces:
            headers = {"traceparent": SAMPLED, "tracestate": "vendor=opaque"}
            span = take_turn(traces, headers, ttft_s=0.25, prompt_tokens=12, cached_tokens=4, completion_tokens=7)
        turn = receiver.the("turn")
        assert (turn.trace_id, turn.parent_id, turn.kind, turn.trace_state) == (TRACE, CALLER, "SERVER", "vendor=opaque")
        assert span.trace_id == TRACE
        assert span.engine_headers == {"traceparent": f"00-{TRACE}-{turn.span_id}-01", "tracestate": "vendor=opaque"}
        stages = [receiver.the(name) for name in STAGES]
        assert len(receiver.spans) == 1 + len(STAGES)
        assert {(stage.trace_id, stage.parent_id) for stage in stages} == {(TRACE, turn.span_id)}
        assert turn.attributes == {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m",
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.cache_read.input_tokens": 4,
            "gen_ai.usage.output_tokens": 7,
            "firstword.turn_id": "t-1",
            "firstword.tenant": "acme",
            "firstword.outcome": "on_time",
            "firstword.ttft_s": 0.25,
        }
        assert (turn.resource["service.name"], turn.resource["service.version"]) == ("firstword", "1.2.3")
        assert turn.status == "UNSET"


def test_times_are_the_wall_clocks_and_in_order() -> None:
    with otlp_receiver() as receiver:
        with traces_to(receiver.endpoint) as traces:
            take_turn(traces, {})
        turn, stages = receiver.the("turn"), [receiver.the(name) for name in STAGES]
        assert turn.end_ns - turn.start_ns == pytest.approx(0.7e9, abs=1e5)
        assert turn.end_ns == pytest.approx(time.time_ns(), abs=10e9)
        assert (stages[0].start_ns, stages[-1].end_ns) == (turn.start_ns, turn.end_ns)
        assert all(later.start_ns == pytest.approx(earlier.end_ns, abs=1e3) for earlier, later in pairwise(stages))
        assert all(stage.end_ns - stage.start_ns == pytest.approx(0.1e9, abs=1e5) for stage in stages)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": ""},
        {"traceparent": "canary"},
        {"traceparent": SAMPLED.upper()},
        {"traceparent": SAMPLED[:-1]},
        {"traceparent": f"{SAMPLED}-more"},
        {"traceparent": f"ff-{TRACE}-{CALLER}-01"},
        {"traceparent": f"00-{'0' * 32}-{CALLER}-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"traceparent": "0" * 10_000},
        {"tracestate": "vendor=opaque"},
    ],
)
def test_without_a_valid_traceparent_a_trace_begins(headers: dict[str, str]) -> None:
    with otlp_receiver() as receiver:
        with traces_to(receiver.endpoint) as traces:
            span = take_turn(traces, headers)
        turn = receiver.the("turn")
        assert (turn.parent_id, turn.trace_state) == ("", "")
        assert turn.trace_id == span.trace_id != TRACE


@pytest.mark.parametrize("tracestate", ["", "canary", "=,=", "a=b," * 600, "k=v," * 40])
def test_a_tracestate_that_says_nothing_does_not_end_the_trace(tracestate: str) -> None:
    with otlp_receiver() as receiver:
        with traces_to(receiver.endpoint) as traces:
            take_turn(traces, {"traceparent": SAMPLED, "tracestate": tracestate})
        assert (receiver.the("turn").trace_id, receiver.the("turn").parent_id) == (TRACE, CALLER)


def test_a_callers_unsampled_turn_makes_no_span_and_the_engine_hears_so() -> None:
    with otlp_receiver() as receiver:
        with traces_to(receiver.endpoint) as traces:
            span = take_turn(traces, {"traceparent": UNSAMPLED})
        assert receiver.spans == []
        assert span.trace_id is None
        assert span.engine_headers is not None
        _, trace_id, span_id, flags = span.engine_headers["traceparent"].split("-")
        assert (trace_id, flags) == (TRACE, "00")
        assert span_id != CALLER


def test_the_ratio_is_of_turns_whose_caller_does_not_say() -> None:
    with otlp_receiver() as receiver:
        with traces_to(receiver.endpoint, sample_ratio=0.25) as traces:
            spans = [take_turn(traces, {}) for _ in range(200)]
            take_turn(traces, {"traceparent": SAMPLED})
        sampled = [span.trace_id for span in spans if span.trace_id]
        assert 20 < len(sampled) < 90
        assert sorted(span.trace_id for span in receiver.named("turn")) == sorted([*sampled, TRACE])
        unsampled = [span.engine_headers for span in spans if span.trace_id is None]
        assert all(headers and headers["traceparent"].endswith(("-00", "-02")) for headers in unsampled)


@pytest.mark.parametrize(
    ("outcome", "error", "status"),
    [
        ("failed", "engine_error", "ERROR"),
        ("refused_capacity", "overloaded", "UNSET"),
        ("client_error", "model_not_found", "UNSET"),
        ("cancelled", "ClientGone", "UNSET"),
    ],
)
def test_only_a_failed_turn_is_an_error_and_only_its_code_is_told(outcome: str, error: str, status: str) -> None:
    with otlp_receiver() as receiver:
        with traces_to(receiver.endpoint) as traces:
            take_turn(traces, {}, error=error, outcome=outcome)
        turn = receiver.the("turn")
        assert (turn.status, turn.status_text) == (status, error if status == "ERROR" else "")
        assert turn.attributes.get("error.type") == (error if status == "ERROR" else None)
        assert (turn.attributes["firstword.outcome"], turn.attributes["firstword.error"]) == (outcome, error)
        assert turn.events == 0


@pytest.mark.parametrize("started_at_s", [float("nan"), float("inf")])
def test_what_goes_wrong_inside_breaks_no_turn(started_at_s: float) -> None:
    with otlp_receiver() as receiver, traces_to(receiver.endpoint) as traces:
        assert traces.begin({}, started_at_s) is None
        span = traces.begin({}, 0.0)
        assert span is not None
        span.end([("auth", started_at_s, started_at_s)], {}, None)
        span.end([], {}, None)


def test_the_global_provider_stays_vllms() -> None:
    with otlp_receiver() as receiver, traces_to(receiver.endpoint):
        assert not isinstance(trace.get_tracer_provider(), TracerProvider)


def test_off_is_nothing_at_all() -> None:
    assert make_traces(endpoint=None, protocol="grpc", sample_ratio=1.0, version="1") is None
    program = """
import sys
from service.telemetry.trace_setup import make_traces
assert make_traces(endpoint=None, protocol="grpc", sample_ratio=1.0, version="1") is None
assert not [name for name in sys.modules if name.startswith(("opentelemetry", "grpc"))]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
