"""The life of a turn, over a real socket, with an engine that follows a script."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest

from service.engine.scripted.engine import Reply
from service.errors import InvalidRequest
from tests.support.service_under_test import ScriptedService, scripted_service, sse_events, until

SLOW = Reply(steps=("word",) * 500, step_s=0.02)
PREFILLING = Reply(steps=("late",), prefill_s=30)


@pytest.fixture
def fresh() -> Iterator[ScriptedService]:
    with scripted_service(max_turns=4, body_timeout_s=1, send_timeout_s=1, drain_timeout_s=5) as running:
        yield running


def outcome(service: ScriptedService, name: str) -> float:
    lines = service.get("/metrics").text.splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith("firstword_turns_total{") and f'outcome="{name}"' in line
    )


@pytest.mark.parametrize("reply", [SLOW, PREFILLING], ids=["decode", "prefill"])
@pytest.mark.parametrize("stream", [True, False])
def test_disconnect_frees_the_slot(fresh: ScriptedService, reply: Reply, stream: bool) -> None:
    fresh.engine.enqueue(reply)
    with socket.create_connection((fresh.host, fresh.port)) as sock:
        sock.sendall(fresh.raw_request(fresh.body(stream=stream, max_tokens=500)))
        until(lambda: fresh.engine.running == 1)
        if reply is SLOW and stream:
            sock.recv(1024)
    until(lambda: fresh.engine.running == 0)
    until(lambda: fresh.services.admission.entered == 0)
    assert fresh.engine.aborted == 1
    until(lambda: outcome(fresh, "cancelled") == 1)


def test_finished_turn_is_not_aborted(fresh: ScriptedService) -> None:
    fresh.post(fresh.body(stream=True))
    fresh.post(fresh.body())
    assert (fresh.engine.running, fresh.engine.aborted) == (0, 0)
    assert outcome(fresh, "on_time") == 2


@pytest.mark.parametrize("stream", [True, False])
def test_what_the_engine_refuses_gets_its_status(fresh: ScriptedService, stream: bool) -> None:
    fresh.engine.enqueue(Reply(steps=(), refuse=InvalidRequest("no such token", param="logit_bias")))
    response = fresh.post(fresh.body(stream=stream))
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "logit_bias"
    assert outcome(fresh, "client_error") == 1


@pytest.mark.parametrize(("stream", "fail_after"), [(True, 0), (False, 0), (False, 3)])
def test_engine_failure_before_any_byte_is_500(fresh: ScriptedService, stream: bool, fail_after: int) -> None:
    fresh.engine.enqueue(Reply(steps=("secret",) * 9, fail_after=fail_after))
    response = fresh.post(fresh.body(stream=stream))
    assert response.status_code == 500
    assert response.json()["error"] | {"message": ""} == {
        "message": "", "type": "server_error", "param": None, "code": "engine_error",
    }  # fmt: skip
    assert "secret" not in response.text
    assert outcome(fresh, "failed") == 1


def test_engine_failure_in_a_stream_is_an_error_event_without_done(fresh: ScriptedService) -> None:
    fresh.engine.enqueue(Reply(steps=("word",) * 9, fail_after=3))
    events = sse_events(fresh.post(fresh.body(stream=True)).text)
    assert events[-1]["error"]["code"] == "engine_error"
    assert "[DONE]" not in events
    assert len([event for event in events if event.get("choices")]) == 4  # The role, then three words.


def test_openai_client_raises_on_a_broken_stream(fresh: ScriptedService) -> None:
    fresh.engine.enqueue(Reply(steps=("word",) * 9, fail_after=3))
    with openai.OpenAI(base_url=f"{fresh.url}/v1", api_key=fresh.key, max_retries=0) as client:
        stream = client.chat.completions.create(**fresh.body(), stream=True)
        with pytest.raises(openai.APIError, match="engine failed"):
            list(stream)


def test_no_byte_leaves_before_the_first_text(fresh: ScriptedService) -> None:
    """The headers wait too, and a token that is half a character is not text."""
    fresh.engine.enqueue(Reply(steps=("", "", "é"), step_s=0.2))
    started = time.monotonic()
    with socket.create_connection((fresh.host, fresh.port), timeout=10) as sock:
        sock.sendall(fresh.raw_request(fresh.body(stream=True)))
        first = sock.recv(65536)
        assert time.monotonic() - started >= 0.4
        while b"\xc3\xa9" not in first:
            first += sock.recv(65536)
    assert first.startswith(b"HTTP/1.1 200")


def test_a_turn_without_any_text_still_ends_well(fresh: ScriptedService) -> None:
    fresh.engine.enqueue(Reply(steps=("",)), Reply(steps=("",)))
    *chunks, done = sse_events(fresh.post(fresh.body(stream=True)).text)
    assert done == "[DONE]"
    assert [chunk["choices"][0]["delta"].get("role") for chunk in chunks] == ["assistant", None]
    assert fresh.post(fresh.body()).json()["choices"][0]["message"]["content"] == ""


def test_no_room_is_refused_at_once_and_room_comes_back(fresh: ScriptedService) -> None:
    fresh.engine.enqueue(*[SLOW] * 4)
    held = []
    for _ in range(4):
        sock = socket.create_connection((fresh.host, fresh.port))
        sock.sendall(fresh.raw_request(fresh.body(stream=True, max_tokens=500)))
        held.append(sock)
    until(lambda: fresh.engine.running == 4)
    refused = fresh.post(fresh.body())
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "overloaded"
    assert refused.headers["x-should-retry"] == "false"
    assert refused.headers["x-firstword-refused"] == "capacity"
    assert int(refused.headers["retry-after"]) >= 1
    for sock in held:
        sock.close()
    until(lambda: fresh.engine.running == 0)
    assert fresh.post(fresh.body()).status_code == 200


def test_not_ready_until_started() -> None:
    with scripted_service(is_started=False) as cold:
        assert cold.get("/livez").status_code == 200
        assert cold.get("/readyz").status_code == 503
        refused = cold.post(cold.body())
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
        assert cold.post(cold.body(), headers={"x-api-key": "wrong"}).status_code == 401


def test_dead_engine_fails_liveness(fresh: ScriptedService) -> None:
    fresh.engine.is_healthy = False
    assert fresh.get("/livez").status_code == 503
    assert fresh.get("/readyz").status_code == 503


def test_drain_finishes_running_turns_and_refuses_new_ones(fresh: ScriptedService) -> None:
    fresh.engine.enqueue(Reply(steps=("word",) * 30, step_s=0.02))
    with httpx.stream(
        "POST", f"{fresh.url}/v1/chat/completions", json=fresh.body(stream=True, max_tokens=30), headers={"x-api-key": fresh.key}
    ) as running:
        lines = running.iter_lines()
        next(lines)
        drained = fresh.drain()
        until(lambda: fresh.get("/readyz").status_code == 503)
        assert fresh.get("/livez").status_code == 200
        assert fresh.post(fresh.body()).json()["error"]["code"] == "not_ready"
        assert [line for line in lines if line][-1] == "data: [DONE]"
    assert drained.result(10) is True


def test_body_that_does_not_arrive_is_408(fresh: ScriptedService) -> None:
    with socket.create_connection((fresh.host, fresh.port), timeout=10) as sock:
        sock.sendall(fresh.raw_request(fresh.body())[:-10])
        answer = sock.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"request_timeout" in answer


def test_client_that_never_reads_is_dropped(fresh: ScriptedService) -> None:
    fresh.engine.enqueue(Reply(steps=("x" * 100_000,) * 200, step_s=0.001))
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((fresh.host, fresh.port))
        sock.sendall(fresh.raw_request(fresh.body(stream=True, max_tokens=200)))
        until(lambda: fresh.engine.running == 1)
        assert fresh.post(fresh.body()).status_code == 200
        until(lambda: fresh.engine.running == 0, within_s=15)
    assert fresh.engine.aborted == 1


def test_what_a_caller_asks_reaches_the_engine(fresh: ScriptedService) -> None:
    asked: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": "END", "presence_penalty": 1, "top_k": 3}
    fresh.post(fresh.body(**asked))
    job = fresh.engine.jobs[-1]
    assert (job.tenant, job.max_tokens) == ("acme", 8)
    sampling = job.sampling
    assert (sampling.temperature, sampling.top_p, sampling.seed, sampling.stop) == (0.5, 0.9, 7, ("END",))
    assert (sampling.presence_penalty, sampling.top_k) == (1.0, 3)


def test_a_turn_begins_with_the_engines_first_step_also_where_that_holds_nothing_yet(fresh: ScriptedService) -> None:
    fresh.engine.enqueue(Reply(steps=("",) * 100 + ("done",), step_s=0.02))
    with ThreadPoolExecutor(1) as caller:
        answer = caller.submit(fresh.post, fresh.body(max_tokens=200))
        until(lambda: fresh.metric("firstword_ttft_forecast_error_seconds_count") == 1)
        assert not answer.done()
        assert fresh.services.admission.load.prompt_tokens == 0
        assert answer.result().status_code == 200
    assert fresh.metric("firstword_ttft_seconds_sum") > 1, "but the first word is heard when there is one"
