"""x-request-id: it is on every answer and on the turn's log line. It is the caller's own if that is valid."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.process import service_process
from tests.support.service_under_test import ScriptedService, scripted_service, until

MADE = re.compile(r"req_[0-9a-f]{24}")


@pytest.mark.parametrize("given", ["call-42", "0b9c1a2e-7f3a-4d11-8a54-1c2d3e4f5a6b", "a.b_c:d/e+f=g@h", "x" * 128])
def test_a_decent_id_is_echoed(service: ScriptedService, given: str) -> None:
    assert service.post(service.body(), headers={"x-request-id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "two words", "tab\there", 'quo"te', "a,b", "<script>", b"caf\xe9"])
def test_another_is_replaced_by_one_of_ours(service: ScriptedService, given: Any) -> None:
    headers = {} if given is None else {"x-request-id": given}
    response = service.post(service.body(), headers=headers)
    assert response.status_code == 200
    assert MADE.fullmatch(response.headers["x-request-id"])


@pytest.mark.parametrize("given", [b"\x01", b"\x7f", b"a\x1b[31m"])
def test_control_characters_are_refused_with_the_request(service: ScriptedService, given: bytes) -> None:
    """The HTTP parser refuses them, before any code of the service runs."""
    response = service.post(service.body(), headers={"x-request-id": given})
    assert response.status_code == 400
    assert given not in b"".join(value for _, value in response.headers.raw) + response.content


def test_each_request_on_a_connection_has_its_own(service: ScriptedService) -> None:
    with httpx.Client(base_url=service.url) as client:
        ids = {client.get("/livez").headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


@pytest.mark.parametrize(
    ("line", "fields", "key", "status"),
    [
        ("POST /v1/chat/completions", {}, "right", 200),
        ("POST /chat/completions", {"stream": True}, "right", 200),
        ("POST /v1/chat/completions", {"temperature": 3}, "right", 400),
        ("POST /v1/chat/completions", {}, "wrong", 401),
        ("POST /v1/chat/completions", {"model": "gpt-none"}, "right", 404),
        ("POST /v1/embeddings", {}, "right", 404),
        ("GET /v1/chat/completions", {}, "right", 405),
        ("GET /v1/models", {}, "right", 200),
        ("GET /readyz", {}, "right", 200),
        ("GET /metrics", {}, "right", 200),
    ],
)
def test_every_answer_has_it_once(service: ScriptedService, line: str, fields: dict[str, Any], key: str, status: int) -> None:
    method, path = line.split()
    headers = {"x-api-key": service.key if key == "right" else key, "x-request-id": "call-42"}
    body = service.body(**fields) if method == "POST" else None
    response = httpx.request(method, service.url + path, json=body, headers=headers, timeout=60)
    assert response.status_code == status
    assert response.headers.get_list("x-request-id") == ["call-42"]


def test_a_refusal_for_want_of_room_has_it_too() -> None:
    with scripted_service(is_started=False) as cold:
        response = cold.post(cold.body(), headers={"x-request-id": "call-42"})
        assert (response.status_code, response.headers["x-request-id"]) == (503, "call-42")


def test_the_turns_log_line_has_the_id_and_no_other_turns(tmp_path: Path) -> None:
    with service_process(tmp_path / "log", within_s=20, engine="scripted", log_format="json") as running:
        for number in range(3):
            running.post(running.body(), headers={"x-request-id": f"call-{number}"})
        ids = ["call-0", "call-1", "call-2", running.post(running.body()).headers["x-request-id"]]
        until(lambda: len(turn_lines(running.output)) == len(ids))  # A turn is logged at its end.
        assert [line["request_id"] for line in turn_lines(running.output)] == ids


def turn_lines(log: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{") and line.endswith("}")]
    return [line for line in lines if line["event"] == "turn"]
