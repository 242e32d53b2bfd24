"""Wrong and hostile requests: each gets a clear error, and none disturbs a concurrent stream."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from service.schema.response import ErrorBody
from tests.support.service_under_test import ServiceUnderTest, sse_events

_DEEP = b"[" * 100_000 + b"]" * 100_000
_HI = b'{"model": "{model}", "messages": [{"role": "user", "content": "hi"}]'
_TOOL = b'{"type": "function", "function": {"name": "f"}}'

# name, body, status, param, code
BAD_BODIES: list[tuple[str, bytes, int, str | None, str]] = [
    ("truncated", b'{"model": "m", "messages": [{"role": "us', 400, None, "invalid_json"),
    ("empty", b"", 400, None, "invalid_json"),
    ("not an object", b"[]", 400, None, "invalid_type"),
    ("invalid utf-8", b'{"model": "m", "messages": [{"role": "user", "content": "\xff\xfe"}]}', 400, None, "invalid_json"),
    ("deeply nested", b'{"model": "m", "messages": ' + _DEEP + b"}", 400, None, "invalid_json"),
    ("nested unknown field", b'{"x": ' + _DEEP + b', "model": "m", "messages": []}', 400, None, "invalid_json"),
    ("messages missing", b'{"model": "{model}"}', 400, "messages", "missing_required_parameter"),
    ("messages null", b'{"model": "{model}", "messages": null}', 400, "messages", "invalid_type"),
    ("messages empty", b'{"model": "{model}", "messages": []}', 400, "messages", "empty_array"),
    ("wrong role", b'{"model": "{model}", "messages": [{"role": "caller"}]}', 400, "messages[0].role", "invalid_value"),
    ("no role", b'{"model": "{model}", "messages": [{"content": "x"}]}', 400, "messages[0].role", "missing_required_parameter"),
    ("model missing", b'{"messages": [{"role": "user", "content": "hi"}]}', 400, "model", "missing_required_parameter"),
    ("unknown function", _HI + b', "tools": [' + _TOOL + b'], "tool_choice": {"type": "function", "function": {"name": "g"}}}',
     400, "tool_choice", "invalid_value"),
    ("both generations", _HI + b', "tools": [' + _TOOL + b'], "functions": [{"name": "f"}]}', 400, "functions", "invalid_value"),
    ("custom tool", _HI + b', "tools": [{"type": "custom", "custom": {"name": "f"}}]}', 400, "tools[0].type", "invalid_value"),
    ("unknown format", _HI + b', "response_format": {"type": "xml"}}', 400, "response_format.type", "invalid_value"),
]  # fmt: skip

# field, JSON of its value, status, code: the rest of the request is right
BAD_FIELDS = [
    ("model", '"gpt-none"', 404, "model_not_found"),
    ("temperature", "NaN", 400, "invalid_value"),
    ("temperature", "Infinity", 400, "invalid_value"),
    ("temperature", "2.1", 400, "decimal_above_max_value"),
    ("temperature", '"hot"', 400, "invalid_type"),
    ("max_tokens", "0", 400, "integer_below_min_value"),
    ("max_tokens", "-1", 400, "integer_below_min_value"),
    ("max_tokens", "1000000000", 400, "integer_above_max_value"),
    ("max_tokens", "1" + "0" * 400, 400, "integer_above_max_value"),
    ("max_tokens", "true", 400, "invalid_type"),
    ("max_completion_tokens", "0", 400, "integer_below_min_value"),
    ("n", "1000", 400, "integer_above_max_value"),
    ("stop", '["a","b","c","d","e"]', 400, "array_above_max_length"),
    ("stream", '"yes"', 400, "invalid_type"),
    ("tools", '[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"f"}}]', 400, "invalid_value"),
    ("tool_choice", '"required"', 400, "invalid_value"),
    ("function_call", '{"name":"f"}', 400, "invalid_value"),
    ("top_logprobs", "21", 400, "integer_above_max_value"),
    ("top_logprobs", "2", 400, "invalid_value"),
    ("reasoning_effort", '"much"', 400, "invalid_value"),
    ("audio", '{"voice":"alloy","format":"wav"}', 400, "unsupported_value"),
    ("modalities", '["text","audio"]', 400, "unsupported_value"),
    ("guided_json", '{"type":"object"}', 400, "unsupported_value"),
]


@contextmanager
def undisturbed_stream(service: ServiceUnderTest) -> Iterator[None]:
    """Run a stream during this scope, and check that it arrives complete."""
    result: list[Any] = []

    def talk() -> None:
        body = service.body("so it goes " * 30, stream=True, max_tokens=60, ignore_eos=True)
        result.extend(sse_events(service.post(body).text))

    thread = threading.Thread(target=talk)
    thread.start()
    time.sleep(0.05)
    yield
    thread.join(120)
    assert result[-1] == "[DONE]"
    assert len(result) > 50


@pytest.mark.parametrize(
    ("body", "status", "param", "code"), [case[1:] for case in BAD_BODIES], ids=[case[0] for case in BAD_BODIES]
)
def test_bad_body(service: ServiceUnderTest, body: bytes, status: int, param: str | None, code: str) -> None:
    response = service.post(content=body.replace(b"{model}", service.model.encode()))
    error = ErrorBody.model_validate_json(response.content).error
    assert (response.status_code, error.param, error.code) == (status, param, code), error.message
    assert error.type == "invalid_request_error"


@pytest.mark.parametrize(("field", "value", "status", "code"), BAD_FIELDS, ids=[f"{row[0]} {row[1][:16]}" for row in BAD_FIELDS])
def test_bad_field(service: ServiceUnderTest, field: str, value: str, status: int, code: str) -> None:
    good = {name: json.dumps(given) for name, given in service.body().items()}
    body = ", ".join(f'"{name}": {given}' for name, given in {**good, field: value}.items())
    response = service.post(content=f"{{{body}}}".encode())
    error = ErrorBody.model_validate_json(response.content).error
    assert (response.status_code, error.param, error.code) == (status, field, code), error.message


def test_ten_thousand_messages(service: ServiceUnderTest) -> None:
    body = service.body() | {"messages": [{"role": "user", "content": "x"}] * 10_000}
    error = ErrorBody.model_validate_json(service.post(body).content).error
    assert error.code == "array_above_max_length"
    assert "2048" in error.message and "10000" in error.message


def test_prompt_too_long_names_limit_and_length(service: ServiceUnderTest) -> None:
    response = service.post(service.body("word " * 12_000))
    error = ErrorBody.model_validate_json(response.content).error
    assert (response.status_code, error.param, error.code) == (400, "messages", "context_length_exceeded")
    assert "8192" in error.message
    given = [int(word) for word in error.message.split() if word.isdecimal() and word != "8192"]
    assert given and given[0] > 12_000


def test_ten_megabytes_are_413_and_the_connection_lives(service: ServiceUnderTest) -> None:
    with undisturbed_stream(service), httpx.Client(timeout=60) as client:
        url, headers = f"{service.url}/v1/chat/completions", {"x-api-key": service.key}
        response = client.post(url, json=service.body("x" * 10_000_000), headers=headers)
        assert response.status_code == 413
        assert ErrorBody.model_validate_json(response.content).error.code == "request_too_large"
        after = client.post(url, json=service.body(), headers=headers)
        # On a busy machine the turn may be refused as overloaded, which is an answer too.
        assert after.status_code == 200 or after.json()["error"]["code"] == "overloaded", after.text


def test_ten_megabytes_without_a_length_are_413(service: ServiceUnderTest) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(160):
            yield b" " * 65536

    response = service.post(content=pieces())
    assert response.status_code == 413


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_wrong_content_type_is_415(service: ServiceUnderTest, content_type: str) -> None:
    response = service.post(content=json.dumps(service.body()).encode(), headers={"content-type": content_type})
    assert response.status_code == 415
    assert ErrorBody.model_validate_json(response.content).error.code == "unsupported_media_type"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v1/embeddings", 404, "unknown_url"),
        ("GET", "/", 404, "unknown_url"),
        ("POST", "/v1/chat/completions/", 404, "unknown_url"),
        ("GET", "/%00%ff/..%2f", 404, "unknown_url"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
    ],
)
def test_unknown_path_or_method(service: ServiceUnderTest, method: str, path: str, status: int, code: str) -> None:
    response = httpx.request(method, service.url + path, headers={"x-api-key": service.key})
    assert response.status_code == status
    assert ErrorBody.model_validate_json(response.content).error.code == code
    assert status != 405 or response.headers["allow"]


@pytest.mark.parametrize(
    "extra",
    [
        "x-api-key: other\r\n",
        "Authorization: Bearer nonsense\r\nAuthorization: Bearer more\r\n",
        "X-Vllm-Priority: -9\r\nX-data-parallel-rank: 7\r\nX-Session-ID: s\r\n",
    ],
)
def test_more_headers_than_expected(service: ServiceUnderTest, extra: str) -> None:
    status, _ = exchange(service, service.raw_request(service.body(), extra=f"Connection: close\r\n{extra}"))
    assert status == 200


@pytest.mark.parametrize("value", ["a\r\nInjected: yes", "a\nb", "a\x00b"])
def test_header_injection_is_refused_or_harmless(service: ServiceUnderTest, value: str) -> None:
    request = service.raw_request(service.body(), extra=f"Connection: close\r\nX-Request-ID: {value}\r\n")
    with undisturbed_stream(service):
        status, answer = exchange(service, request)
    assert status in (200, 400)
    assert b"injected" not in answer.lower()


def test_http_1_0_client_gets_the_stream_without_chunked_framing(service: ServiceUnderTest) -> None:
    status, answer = exchange(service, service.raw_request(service.body(stream=True), version="1.0"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert status == 200
    assert b"chunked" not in head.lower()
    assert sse_events(body.decode())[-1] == "[DONE]"


def test_not_http_at_all(service: ServiceUnderTest) -> None:
    with undisturbed_stream(service):
        status, _ = exchange(service, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    assert status == 400


def exchange(service: ServiceUnderTest, request: bytes) -> tuple[int, bytes]:
    """Send raw bytes. Return the status and all bytes until the connection ends."""
    with socket.create_connection((service.host, service.port), timeout=60) as sock:
        sock.sendall(request)
        answer = b""
        while received := sock.recv(65536):
            answer += received
    return int(answer.split(b" ", 2)[1]), answer
