"""Traces of served turns on the scripted engine, received by a real OTLP receiver."""

import asyncio
import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx

from service.app import create_app
from service.engine.scripted.engine import ScriptedEngine
from service.settings import Settings
from service.tenants.auth import KeyRing
from tests.support.documents import table_rows
from tests.support.otlp_receiver import otlp_receiver
from tests.support.process import ServiceProcess, service_process
from tests.telemetry.traced_turns import CALLER, SAMPLED, STAGES, TRACE, UNSAMPLED, traces_to


def turn_lines(service: ServiceProcess) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in service.output.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "turn"]


def test_turns_are_traces_from_the_callers_header_to_the_log_line_and_hold_no_content(tmp_path: Path) -> None:
    with otlp_receiver() as receiver:
        settings = {"engine": "scripted", "otlp_endpoint": receiver.endpoint, "otlp_protocol": "http/protobuf"}
        with service_process(tmp_path / "log", within_s=20, key="canary-key", **settings) as service:
            headers = {"traceparent": SAMPLED, "tracestate": "vendor=opaque", "x-request-id": "call-7", "x-note": "canary"}
            assert service.post(service.body("canary one two", stream=True), headers=headers).status_code == 200
            assert service.post(service.body("canary", model="canary-model")).status_code == 404
            assert service.post(service.body("canary"), headers={"traceparent": UNSAMPLED}).status_code == 200
            service.process.send_signal(signal.SIGTERM)  # At once: queued spans must be sent before the process ends.
            assert service.wait(20) == 0
        answered, refused = sorted(receiver.named("turn"), key=lambda turn: turn.start_ns)
        assert (answered.trace_id, answered.parent_id, answered.trace_state) == (TRACE, CALLER, "vendor=opaque")
        of_turn = [span for span in receiver.spans if span.parent_id == answered.span_id]
        assert [span.name for span in of_turn] == list(STAGES)
        assert answered.attributes["firstword.tenant"] == "acme"
        assert answered.attributes["firstword.outcome"] == "on_time"
        assert answered.attributes["gen_ai.usage.output_tokens"] == 3
        assert answered.attributes["firstword.request_id"] == "call-7"
        assert answered.attributes["http.response.status_code"] == 200
        assert refused.attributes["firstword.error"] == "model_not_found"
        assert refused.attributes["http.response.status_code"] == 404
        assert refused.status == "UNSET"
        lines = turn_lines(service)
        assert [line["trace_id"] for line in lines] == [TRACE, refused.trace_id, None]
        assert lines[0]["turn_id"] == answered.attributes["firstword.turn_id"]
        assert b"canary" not in b"".join(receiver.raw)
        documented = {attribute.strip("`") for attribute, _ in table_rows("tracing.md")}
        assert answered.attributes.keys() | refused.attributes.keys() <= documented


def test_a_collector_that_hangs_holds_up_neither_turns_nor_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # Takes connections, and never answers.
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with service_process(tmp_path / "log", within_s=20, engine="scripted", otlp_endpoint=endpoint) as service:
            began_s = time.monotonic()
            for _ in range(50):
                assert service.post(service.body()).status_code == 200
            assert time.monotonic() - began_s < 8
            service.process.send_signal(signal.SIGTERM)
            assert service.wait(8) == 0


def test_the_engine_continues_the_span_of_the_turn() -> None:
    with otlp_receiver() as receiver:
        with traces_to(receiver.endpoint) as traces:
            engine = ScriptedEngine("scripted")
            app = create_app(Settings(engine="scripted"), engine, KeyRing(plain=[("acme", "key")]), traces)

            async def run() -> httpx.Response:
                await app.state.services.lifecycle.start()
                assert engine.trace_headers is None  # Those of a warm-up turn.
                async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://in-process") as client:
                    body = {"model": "scripted", "messages": [{"role": "user", "content": "Hello!"}]}
                    headers = {"x-api-key": "key", "traceparent": SAMPLED}
                    return await client.post("/v1/chat/completions", json=body, headers=headers)

            assert asyncio.run(run()).status_code == 200
        assert engine.trace_headers == {"traceparent": f"00-{TRACE}-{receiver.the('turn').span_id}-01"}
