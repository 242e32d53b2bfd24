"""The trace collector: its address, and that a collector that is down, slow or hanging costs a turn nothing."""

import socket
import subprocess
import sys
import time

import pytest

from service.errors import StartError
from service.telemetry.otlp import collector_url
from service.telemetry.trace_setup import make_traces
from service.telemetry.traces import OtlpProtocol
from tests.support.otlp_receiver import otlp_receiver
from tests.telemetry.traced_turns import CALLER, PROTOCOLS, TRACE, take_turn, traces_to


def test_the_standard_variables_are_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "voice")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging,service.version=9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=secret")
    with otlp_receiver() as receiver:
        with traces_to(receiver.endpoint) as traces:
            take_turn(traces, {})
        resource = receiver.the("turn").resource
        assert (resource["service.name"], resource["service.version"]) == ("voice", "9")
        assert resource["deployment.environment.name"] == "staging"
        assert receiver.headers[0]["x-collector-key"] == "secret"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("collector", ["down", "hanging"])
def test_a_collector_that_takes_nothing_costs_no_turn_anything_and_the_end_little(protocol: OtlpProtocol, collector: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # Takes connections, and never answers.
        port = silent.getsockname()[1]
        if collector == "down":
            silent.close()
        traces = make_traces(endpoint=f"http://127.0.0.1:{port}", protocol=protocol, sample_ratio=1.0, version="1")
        assert traces is not None
        began_s = time.monotonic()
        for _ in range(600):
            take_turn(traces, {})
        assert time.monotonic() - began_s < 3  # One export that a turn waited for would take 10 s.
        closing_s = time.monotonic()
        traces.close(0.5)
        assert time.monotonic() - closing_s < 2
        take_turn(traces, {})  # A turn that ends after that.


def test_what_a_slow_collector_has_no_time_for_is_dropped_the_oldest_first() -> None:
    with otlp_receiver() as receiver:
        receiver.answers.clear()
        with traces_to(receiver.endpoint) as traces:
            sent = [take_turn(traces, {}) for _ in range(1000)]
            receiver.answers.set()
        arrived = {span.trace_id for span in receiver.named("turn")}
        assert len(receiver.spans) <= 2048 + 512  # The queue, and one batch that was being sent.
        assert {span.trace_id for span in sent[-200:]} <= arrived


def test_a_collector_that_is_down_is_one_line_a_minute_and_quotes_nobody() -> None:
    program = """
import time
from service.telemetry.logs import configure_logs
from service.telemetry.trace_setup import make_traces
log = configure_logs("json")
traces = make_traces(endpoint="http://127.0.0.1:1", protocol="{}", sample_ratio=1.0, version="1")
for turn in range(600):
    headers = {{"traceparent": "00-{}-01", "tracestate": "canary," * 3, "baggage": "canary=1"}}
    traces.begin(headers, time.monotonic()).end([("auth", 0.0, 0.0)] * 7, {{"tenant": "acme"}}, None)
    time.sleep(0.003)
traces.close(1)
log.close_within(1)
"""
    for protocol in PROTOCOLS:
        variables = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_EXPORTER_OTLP_TIMEOUT": "0.3"}
        command = [sys.executable, "-c", program.format(protocol, f"{TRACE}-{CALLER}")]
        ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=True)
        assert ended.stderr.count("\n") == 1, ended.stderr
        assert '"event": "traces could not be exported"' in ended.stderr
        assert "canary" not in ended.stderr + ended.stdout


@pytest.mark.parametrize(
    ("endpoint", "protocol", "url"),
    [
        ("http://c:4318", "http/protobuf", "http://c:4318/v1/traces"),
        ("https://c/", "http/protobuf", "https://c/v1/traces"),
        ("http://c:4318/otlp/v1/traces", "http/protobuf", "http://c:4318/otlp/v1/traces"),
        ("http://c:4317", "grpc", "http://c:4317"),
        ("https://c:4317", "grpc", "https://c:4317"),
        ("c:4317", "grpc", "c:4317"),
    ],
)
def test_an_address_may_leave_out_the_usual_path(endpoint: str, protocol: OtlpProtocol, url: str) -> None:
    assert collector_url(endpoint, protocol) == url


@pytest.mark.parametrize(
    ("endpoint", "protocol"),
    [
        ("c:4318", "http/protobuf"),
        ("ftp://c", "grpc"),
        ("http://c:port", "grpc"),
        ("http://[c", "grpc"),
        ("http://", "grpc"),
        ("/v1", "grpc"),
    ],
)
def test_an_address_that_is_none_is_refused_at_the_start(endpoint: str, protocol: OtlpProtocol) -> None:
    with pytest.raises(StartError, match="FIRSTWORD_OTLP_ENDPOINT must be"):
        make_traces(endpoint=endpoint, protocol=protocol, sample_ratio=1.0, version="1")


def test_a_wrong_variable_of_opentelemetrys_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
    with pytest.raises(StartError, match="OTEL_"):
        make_traces(endpoint="http://127.0.0.1:1", protocol="grpc", sample_ratio=1.0, version="1")


@pytest.mark.parametrize("endpoint", ["http://user:canary@collector:4318", "http://collector:4318/v1/traces?token=canary"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_secret_in_the_address_is_refused_without_being_told(endpoint: str, protocol: OtlpProtocol) -> None:
    with pytest.raises(StartError, match="OTEL_EXPORTER_OTLP_HEADERS") as caught:
        collector_url(endpoint, protocol)
    assert "canary" not in str(caught.value)
