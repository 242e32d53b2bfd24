"""What only a real engine can show: words of a real model, and what it does when nobody listens any more."""

import json
import re
import socket
import time
from typing import Any

import pytest

from tests.support.process import ServiceProcess
from tests.support.service_under_test import KEY, OTHER_KEY, until

RUNNING = "vllm:num_requests_running"


def test_it_is_a_language_model(service: ServiceProcess) -> None:
    answer = service.post(service.body("What is the capital of France? Answer in one sentence.", temperature=0, max_tokens=24))
    assert "Paris" in answer.json()["choices"][0]["message"]["content"]


def test_readyz_only_after_a_warm_up_turn(service: ServiceProcess) -> None:
    assert service.get("/readyz").status_code == 200
    assert service.metric("vllm:request_success_total") >= 1


def test_metrics_show_turns_ttft_and_the_engine(service: ServiceProcess) -> None:
    before = service.metric("firstword_turns_total"), service.metric("firstword_ttft_seconds_count")
    service.post(service.body())
    assert service.metric("firstword_turns_total") == before[0] + 1
    assert service.metric("firstword_ttft_seconds_count") == before[1] + 1
    assert service.metric("vllm:generation_tokens_total") > 0


def test_every_tokens_latency_is_counted_once(service: ServiceProcess) -> None:
    counted = service.metric("vllm:inter_token_latency_seconds_count")
    took_s = service.metric("vllm:inter_token_latency_seconds_sum")
    assert service.post(service.body(max_tokens=9, ignore_eos=True)).status_code == 200
    assert service.metric("vllm:inter_token_latency_seconds_count") - counted == 9 - 1
    assert service.metric("vllm:inter_token_latency_seconds_sum") - took_s > 0
    buckets = re.findall(r'^vllm:inter_token_latency_seconds_bucket{.*le="([^"]+)".*} (\S+)$', service.get("/metrics").text, re.M)
    assert float(dict(buckets)["+Inf"]) == counted + 9 - 1


def test_same_seed_same_text(service: ServiceProcess) -> None:
    body = service.body("Tell me something surprising.", seed=42, temperature=1.0, max_tokens=24)
    texts = {service.post(body).json()["choices"][0]["message"]["content"] for _ in range(2)}
    assert len(texts) == 1


def test_stop_text_ends_the_answer_and_is_not_in_it(service: ServiceProcess) -> None:
    body = service.body("Count: one, two, three, four, five, six.", temperature=0, max_tokens=64)
    whole = service.post(body).json()["choices"][0]["message"]["content"]
    stop = whole[len(whole) // 2 :][:4]
    stopped = service.post({**body, "stop": stop}).json()["choices"][0]
    assert stopped["finish_reason"] == "stop"
    assert stop not in stopped["message"]["content"]
    assert whole.startswith(stopped["message"]["content"])


def test_special_tokens_do_not_leak(service: ServiceProcess) -> None:
    answers = [service.post(service.body("Hi!", max_tokens=200, seed=seed)).json()["choices"][0] for seed in range(4)]
    assert "stop" in {answer["finish_reason"] for answer in answers}
    assert not any("<|" in answer["message"]["content"] for answer in answers)


def test_second_turn_of_a_call_finds_its_history_cached(service: ServiceProcess) -> None:
    history = service.body("This is a long story that will come again. " * 40, temperature=0)
    service.post(history)
    assert service.post(history).json()["usage"]["prompt_tokens_details"]["cached_tokens"] > 0


def test_one_tenants_prefix_cache_is_not_anothers(service: ServiceProcess) -> None:
    body = service.body("What one tenant asks, another must not find out by its speed. " * 40, temperature=0)

    def cached_tokens(key: str) -> int:
        answer = service.post(body, headers={"x-api-key": key}).json()
        return int(answer["usage"]["prompt_tokens_details"]["cached_tokens"])

    assert [cached_tokens(KEY) > 0 for _ in range(2)] == [False, True]
    assert [cached_tokens(OTHER_KEY) > 0 for _ in range(2)] == [False, True]


@pytest.mark.parametrize(
    ("field", "value"),
    [("logit_bias", {"999999": 1.0}), ("min_tokens", 100)],
)
def test_what_the_engine_itself_refuses_is_400_before_any_event(service: ServiceProcess, field: str, value: Any) -> None:
    response = service.post(service.body(stream=True, **{field: value}))
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"
    assert field in json.dumps(response.json()["error"])


def test_hanging_up_while_it_speaks_stops_the_generation(service: ServiceProcess) -> None:
    with socket.create_connection((service.host, service.port), timeout=60) as sock:
        sock.sendall(service.raw_request(service.body("Tell me a long story.", stream=True, max_tokens=4000, ignore_eos=True)))
        assert sock.recv(1024).startswith(b"HTTP/1.1 200")
        until(lambda: service.metric(RUNNING) == 1, within_s=10)
    until(lambda: service.metric("firstword_turns_running") == 0, within_s=5)
    until(lambda: service.metric(RUNNING) == 0, within_s=5)
    assert_engine_is_idle(service)


@pytest.mark.parametrize("stream", [True, False])
def test_hanging_up_during_prefill_stops_it(service: ServiceProcess, stream: bool) -> None:
    cancelled = service.metric("firstword_turns_total")
    prompt = f"{stream} " + "a prompt that takes a while to read " * 900
    with socket.create_connection((service.host, service.port), timeout=60) as sock:
        sock.sendall(service.raw_request(service.body(prompt, stream=stream, max_tokens=500, ignore_eos=True)))
        until(lambda: service.metric("firstword_turns_running") == 1, within_s=10)
    until(lambda: service.metric("firstword_turns_running") == 0, within_s=5)
    assert service.metric("firstword_turns_total") == cancelled + 1
    # A prefill step that has begun is finished; nothing follows it.
    until(lambda: service.metric(RUNNING) == 0, within_s=60)
    assert_engine_is_idle(service)


def assert_engine_is_idle(service: ServiceProcess) -> None:
    tokens = service.metric("vllm:generation_tokens_total")
    time.sleep(0.5)
    assert service.metric("vllm:generation_tokens_total") == tokens
