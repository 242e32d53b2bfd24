"""Input that arrives before application code runs: it is limited, and errors have OpenAI's shape."""

import socket
import time
from collections.abc import Iterator

import pytest

from service.engine.scripted.engine import Reply
from service.schema.response import ErrorBody
from tests.support.service_under_test import ScriptedService, scripted_service, sse_events, until


@pytest.fixture(scope="module")
def bounded() -> Iterator[ScriptedService]:
    with scripted_service() as running:
        yield running


def read_all(sock: socket.socket) -> bytes:
    answer = b""
    try:
        while received := sock.recv(65536):
            answer += received
    except ConnectionResetError:
        pass
    return answer


def test_endless_headers_are_431_and_cost_others_nothing(bounded: ScriptedService) -> None:
    with socket.create_connection((bounded.host, bounded.port), timeout=10) as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nx-filler: ")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(10_000):  # 650 MB, if the service accepted them.
                sock.sendall(b"x" * 65536)
                time.sleep(0.001)
    assert bounded.post(bounded.body()).status_code == 200


def test_too_many_headers_are_answered_431(bounded: ScriptedService) -> None:
    with socket.create_connection((bounded.host, bounded.port), timeout=10) as sock:
        sock.sendall(b"GET /livez HTTP/1.1\r\n" + b"x-api-key: wrong\r\n" * 4000)
        head, _, body = read_all(sock).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431")
    assert ErrorBody.model_validate_json(body).error.code == "invalid_http"


def test_what_is_no_http_gets_openais_shape(bounded: ScriptedService) -> None:
    with socket.create_connection((bounded.host, bounded.port), timeout=10) as sock:
        sock.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        head, _, body = read_all(sock).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert ErrorBody.model_validate_json(body).error.code == "invalid_http"


@pytest.mark.parametrize("token", ["h2c", "websocket", "whatever"])
@pytest.mark.parametrize("is_split", [False, True])
def test_an_offer_to_upgrade_is_not_taken_and_does_no_harm(bounded: ScriptedService, token: str, is_split: bool) -> None:
    extra = f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {token}\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    head, _, body = bounded.raw_request(bounded.body(), extra=extra).partition(b"\r\n\r\n")
    with socket.create_connection((bounded.host, bounded.port), timeout=10) as sock:
        if is_split:
            sock.sendall(head + b"\r\n\r\n")
            time.sleep(0.05)
            sock.sendall(body[:20])
            time.sleep(0.05)
            sock.sendall(body[20:])
        else:
            sock.sendall(head + b"\r\n\r\n" + body)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_in_order(bounded: ScriptedService) -> None:
    bounded.engine.enqueue(*[Reply(steps=(f"answer {number}",)) for number in range(3)])
    last = bounded.raw_request(bounded.body(), extra="Connection: close\r\n")
    with socket.create_connection((bounded.host, bounded.port), timeout=10) as sock:
        sock.sendall(bounded.raw_request(bounded.body()) * 2 + last)
        answer = read_all(sock).decode()
    assert [answer.index(f"answer {number}") for number in range(3)] == sorted(
        answer.index(f"answer {number}") for number in range(3)
    )


def test_garbage_behind_a_running_stream_does_not_break_into_it(bounded: ScriptedService) -> None:
    bounded.engine.enqueue(Reply(steps=("word",) * 20, step_s=0.02))
    with socket.create_connection((bounded.host, bounded.port), timeout=10) as sock:
        sock.sendall(bounded.raw_request(bounded.body(stream=True, max_tokens=20)))
        answer = sock.recv(65536)
        sock.sendall(b"\x00\x01 garbage\r\n\r\n")
        answer += read_all(sock)
    assert b"invalid_http" not in answer
    assert b"data: [DONE]" in answer


def test_hanging_up_behind_a_pipelined_request_is_a_hang_up(bounded: ScriptedService) -> None:
    bounded.engine.enqueue(Reply(steps=("word",) * 200, step_s=0.01))
    with socket.create_connection((bounded.host, bounded.port), timeout=10) as sock:
        sock.sendall(bounded.raw_request(bounded.body(stream=True, max_tokens=200)))
        sock.recv(1024)
        sock.sendall(bounded.raw_request(bounded.body()) * 50)
        time.sleep(0.1)
    until(lambda: bounded.engine.running == 0)
    failed = [
        line
        for line in bounded.get("/metrics").text.splitlines()
        if line.startswith("firstword_turns_total") and '"failed"' in line
    ]
    assert all(line.endswith(" 0.0") for line in failed)
    assert sse_events(bounded.post(bounded.body(stream=True)).text)[-1] == "[DONE]"
