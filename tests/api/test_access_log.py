"""The log line of a request that is neither a turn nor a probe. It shows only the route of the request."""

import json
from pathlib import Path

import httpx

from tests.support.process import ServiceProcess, service_process
from tests.support.service_under_test import until

CANARY = "canary-7f3a"


def lines(running: ServiceProcess) -> list[dict[str, object]]:
    logged = [json.loads(line) for line in running.output.splitlines() if '"event": "request"' in line]
    return [{name: line[name] for name in ("method", "route", "status")} for line in logged]


def test_a_request_that_is_no_turn_has_one_line_and_a_probe_none(tmp_path: Path) -> None:
    with service_process(tmp_path / "log", within_s=20, engine="scripted") as running:
        key = {"x-api-key": running.key}
        assert running.post(running.body()).status_code == 200
        running.get("/livez")
        running.get("/readyz")
        running.get("/metrics")
        assert running.get("/v1/models", headers=key).status_code == 200
        assert running.post(running.body(), headers={"x-api-key": CANARY}).status_code == 401
        assert running.get(f"/{CANARY}?key={CANARY}").status_code == 404
        assert running.post(content=b"x", headers={"content-type": f"text/{CANARY}"}).status_code == 415
        assert httpx.request("PURGE", f"{running.url}/v1/models", timeout=5).status_code == 405
        until(lambda: len(lines(running)) >= 5)
        assert lines(running) == [
            {"method": "GET", "route": "/v1/models", "status": 200},
            {"method": "POST", "route": "/v1/chat/completions", "status": 401},
            {"method": "GET", "route": "unknown", "status": 404},
            {"method": "POST", "route": "/v1/chat/completions", "status": 415},
            {"method": "other", "route": "/v1/models", "status": 405},
        ]
        for status in ("401", "404", "405", "415"):
            assert running.metric(f'firstword_rejected_requests_total{{status="{status}"}}') == 1
        assert CANARY not in running.output
