"""SIGTERM: not ready at once, new turns served during the lameduck, running turns finished, the rest cut off with an error."""

import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest

from service.engine.scripted.engine import Reply
from tests.support.process import ServiceProcess, service_process
from tests.support.service_under_test import ScriptedService, scripted_service, sse_events, until

LONG = Reply(steps=("word",) * 1500, step_s=0.02)
PREFILLING = Reply(steps=("late",), prefill_s=30)


@pytest.fixture
def lame() -> Iterator[ScriptedService]:
    """Its lameduck outlasts the test."""
    with scripted_service(lameduck_s=60) as running:
        yield running


@pytest.fixture
def hasty() -> Iterator[ScriptedService]:
    with scripted_service(lameduck_s=0, drain_timeout_s=0.3) as running:
        yield running


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ServiceProcess]:
    with service_process(tmp_path / "log", within_s=20, engine="scripted", lameduck_s="2.5") as running:
        yield running


def client_of(service: ScriptedService) -> httpx.Client:
    """One that keeps its connections."""
    return httpx.Client(base_url=service.url, headers={"x-api-key": service.key}, timeout=30)


def begin_drain(service: ScriptedService) -> None:
    service.drain()
    until(lambda: service.get("/readyz").status_code == 503)


def test_in_the_lameduck_turns_are_served_and_connections_closed(lame: ScriptedService) -> None:
    with client_of(lame) as client:
        before = client.post("/v1/chat/completions", json=lame.body())
        assert "connection" not in before.headers
        begin_drain(lame)
        ready = lame.get("/readyz")
        assert (ready.status_code, ready.text, ready.headers["connection"]) == (503, "draining", "close")
        for stream in (False, True):  # The first comes on the connection from before.
            served = client.post("/v1/chat/completions", json=lame.body(stream=stream))
            assert (served.status_code, served.headers["connection"]) == (200, "close")
            assert not stream or sse_events(served.text)[-1] == "[DONE]"
        assert client.get("/v1/models").headers["connection"] == "close"


def test_after_the_lameduck_new_turns_are_refused_while_running_ones_finish() -> None:
    with scripted_service(lameduck_s=0.3) as service, ThreadPoolExecutor() as pool:
        service.engine.enqueue(Reply(steps=("word",) * 100, step_s=0.02))
        running = pool.submit(service.post, service.body(stream=True, max_tokens=100))
        until(lambda: service.engine.running == 1)
        drained = service.drain()
        until(lambda: service.post(service.body()).status_code == 503)
        refused = service.post(service.body())
        assert refused.json()["error"]["code"] == "not_ready"
        assert (refused.headers["connection"], refused.headers["x-should-retry"]) == ("close", "false")
        assert int(refused.headers["retry-after"]) >= 1
        assert service.get("/livez").status_code == 200
        assert sse_events(running.result().text)[-1] == "[DONE]"
        assert drained.result(10) is True


def test_a_connection_whose_answer_began_before_takes_one_more_request(lame: ScriptedService) -> None:
    """Its answer had no `connection: close`. Closing it after the answer could lose a request that is on its way."""
    lame.engine.enqueue(Reply(steps=("word",) * 20, step_s=0.02))
    with client_of(lame) as client:
        with client.stream("POST", "/v1/chat/completions", json=lame.body(stream=True, max_tokens=20)) as begun:
            begin_drain(lame)
            assert [line for line in begun.iter_lines() if line][-1] == "data: [DONE]"
            used = begun.extensions["network_stream"]
        after = client.post("/v1/chat/completions", json=lame.body())
        assert (after.status_code, after.headers["connection"]) == (200, "close")
        assert after.extensions["network_stream"] is used


def test_a_stream_that_outlasts_the_drain_ends_with_an_error_event(hasty: ScriptedService) -> None:
    hasty.engine.enqueue(LONG)
    with openai.OpenAI(base_url=f"{hasty.url}/v1", api_key=hasty.key, max_retries=0) as client:
        stream = client.chat.completions.create(**hasty.body(max_tokens=1500), stream=True)
        next(stream)
        drained = hasty.drain()
        with pytest.raises(openai.APIError, match=r"stopping.*0\.3 s") as caught:
            list(stream)
    assert caught.value.code == "cut_off"
    assert drained.result(10) is False
    assert (hasty.engine.running, hasty.engine.aborted) == (0, 1)
    assert 'outcome="failed",tenant="acme"} 1.0' in hasty.get("/metrics").text


@pytest.mark.parametrize(("reply", "stream"), [(LONG, False), (PREFILLING, False), (PREFILLING, True)])
def test_a_turn_without_a_byte_sent_that_outlasts_the_drain_is_503(hasty: ScriptedService, reply: Reply, stream: bool) -> None:
    hasty.engine.enqueue(reply)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(hasty.post, hasty.body(stream=stream, max_tokens=1500))
        until(lambda: hasty.engine.running == 1)
        hasty.drain()
        refused = answer.result()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "cut_off")
    assert refused.headers["connection"] == "close"
    until(lambda: hasty.engine.running == 0)


def test_a_caller_who_does_not_read_holds_no_drain_up(hasty: ScriptedService) -> None:
    hasty.engine.enqueue(Reply(steps=("x" * 100_000,) * 500, step_s=0.001))
    with socket.create_connection((hasty.host, hasty.port)) as sock:
        sock.sendall(hasty.raw_request(hasty.body(stream=True, max_tokens=500)))
        until(lambda: hasty.engine.running == 1)
        assert hasty.drain().result(10) is False
        assert hasty.engine.running == 0


def test_an_idle_process_keeps_the_whole_lameduck_and_exits_0(process: ServiceProcess) -> None:
    process.process.send_signal(signal.SIGTERM)
    until(lambda: process.get("/readyz").status_code == 503)
    assert process.post(process.body()).status_code == 200
    assert process.wait() == 0
    assert "Traceback" not in process.output


def test_a_turn_begun_in_the_lameduck_is_finished(process: ServiceProcess) -> None:
    process.process.send_signal(signal.SIGTERM)
    until(lambda: process.get("/readyz").status_code == 503)
    text = process.post(process.body("word " * 200, stream=True, max_tokens=200)).text
    assert sse_events(text)[-1] == "[DONE]"
    assert process.wait() == 0


def test_an_engine_that_is_stopped_after_a_drain_has_not_failed() -> None:
    with scripted_service(drain_timeout_s=0.1) as running:
        assert running.drain().result(10) is True
        running.engine.is_healthy = False
        assert running.metric('firstword_state{state="draining"}') == 1
        assert running.metric('firstword_state{state="failed"}') == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_drain_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with service_process(tmp_path / "log", within_s=20, engine="scripted", lameduck_s="600") as running:
        running.process.send_signal(signal.SIGTERM)
        until(lambda: running.get("/readyz").status_code == 503)
        running.process.send_signal(number)
        assert running.wait() == 0
        assert "Traceback" not in running.output


def test_an_outlasting_stream_of_a_process_is_told_before_it_exits_0(tmp_path: Path) -> None:
    args = '{"step_s": 0.02}'
    with (
        service_process(tmp_path / "log", within_s=20, engine="scripted", engine_args=args, drain_timeout_s="0.3") as running,
        ThreadPoolExecutor() as pool,
    ):
        answer = pool.submit(running.post, running.body("word " * 2000, stream=True, max_tokens=2000))
        until(lambda: running.metric("firstword_turns_running") == 1)
        running.process.send_signal(signal.SIGTERM)
        events = sse_events(answer.result().text)
        assert events[-1]["error"]["code"] == "cut_off" and "[DONE]" not in events
        assert running.wait() == 0
        assert "Traceback" not in running.output
