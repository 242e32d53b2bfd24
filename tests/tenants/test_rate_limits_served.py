"""A tenant's own limits over a real socket, with the official client."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest

from service.engine.scripted.engine import Reply
from service.errors import InvalidRequest
from service.tenants.auth import KeyRing
from service.tenants.key_file import KeyFile
from tests.support.service_under_test import KEY, OTHER_KEY, ScriptedService, scripted_service, until

SLOW = Reply(steps=("word",) * 500, step_s=0.02)


@contextmanager
def limited_service(**policy: Any) -> Iterator[ScriptedService]:
    """A service where the tenant acme has limits, and the tenant other has none."""
    key_file = KeyFile.model_validate({"salt": "0f" * 16, "tenants": {"acme": policy}})
    with scripted_service(keys=KeyRing(key_file, [("acme", KEY), ("other", OTHER_KEY)])) as running:
        yield running


def client(service: ScriptedService, key: str = KEY, *, max_retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=max_retries)


@pytest.mark.parametrize("stream", [True, False])
def test_the_openai_client_raises_rate_limit_error_and_another_tenant_notices_nothing(stream: bool) -> None:
    with limited_service(requests_per_min=2) as service:
        acme = client(service)
        for remaining in ("1", "0"):
            raw = acme.chat.completions.with_raw_response.create(**service.body(stream=stream))
            assert raw.headers["x-ratelimit-limit-requests"] == "2"
            assert raw.headers["x-ratelimit-remaining-requests"] == remaining
            raw.http_response.close()
        with pytest.raises(openai.RateLimitError) as caught:
            acme.chat.completions.create(**service.body(stream=stream))
        error = caught.value
        assert (error.type, error.code) == ("requests", "rate_limit_exceeded")
        assert "2 requests per minute" in error.message
        assert 0 < int(error.response.headers["retry-after"]) <= 30
        assert {"x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"} <= set(
            error.response.headers
        )
        raw = client(service, OTHER_KEY).chat.completions.with_raw_response.create(**service.body())
        assert not [name for name in raw.headers if name.startswith("x-ratelimit")]
        metrics = service.get("/metrics").text
        assert 'firstword_turns_total{model="scripted",outcome="refused_limit",tenant="acme"} 1.0' in metrics


def test_the_openai_client_does_not_retry_what_can_never_fit() -> None:
    with limited_service(tokens_per_min=100) as service:
        with pytest.raises(openai.RateLimitError, match=r"100 tokens per minute"):
            client(service, max_retries=2).chat.completions.create(**service.body(max_tokens=1000))
        assert service.metric("firstword_turns_total") == 1


def test_an_answers_usage_settles_its_charge() -> None:
    with limited_service(tokens_per_min=1000) as service:
        for _ in range(5):  # Each asks for 900 and takes a few.
            answer = service.post(service.body(max_tokens=900))
            assert answer.status_code == 200
        assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 100


def test_turns_at_once_over_a_socket_until_one_hangs_up() -> None:
    with limited_service(max_turns=1) as service:
        service.engine.enqueue(SLOW)
        with socket.create_connection((service.host, service.port)) as sock:
            sock.sendall(service.raw_request(service.body(stream=True, max_tokens=500)))
            until(lambda: service.engine.running == 1)
            refused = service.post(service.body())
            assert (refused.status_code, refused.json()["error"]["type"]) == (429, "requests")
            assert "1 turns at once (max_turns)" in refused.json()["error"]["message"]
        until(lambda: service.post(service.body()).status_code == 200)


def test_what_the_service_refuses_gives_back_what_it_was_charged() -> None:
    with limited_service(requests_per_min=1) as service:
        service.engine.enqueue(Reply(steps=(), refuse=InvalidRequest("no such token", param="logit_bias")))
        assert service.post(service.body()).status_code == 400
        assert service.post(service.body(messages=[])).status_code == 400
        assert service.post(service.body(model="none")).status_code == 404
        assert service.post(service.body()).status_code == 200
        assert service.post(service.body()).status_code == 429


def test_a_tenant_over_its_limit_holds_no_other_up() -> None:
    """One floods far beyond its limit while the other takes a turn after the other."""
    with limited_service(requests_per_min=1, max_turns=1) as service:
        is_over = threading.Event()
        flooded: list[int] = []

        def flood() -> None:
            while not is_over.is_set():
                flooded.append(service.post(service.body()).status_code)

        flooding = [threading.Thread(target=flood) for _ in range(3)]
        for thread in flooding:
            thread.start()
        answers = [service.post(service.body(), headers={"x-api-key": OTHER_KEY}).status_code for _ in range(20)]
        is_over.set()
        for thread in flooding:
            thread.join(10)
    assert set(answers) == {200}
    assert flooded.count(200) <= 2


def test_bad_keys_leave_nothing_behind() -> None:
    with limited_service(requests_per_min=5) as service:
        series = service.get("/metrics").text.count("tenant=")
        for number in range(50):
            assert service.post(service.body(), headers={"x-api-key": f"fw_{number:08x}_secret"}).status_code == 401
        assert service.get("/metrics").text.count("tenant=") == series
        assert service.metric("firstword_turns_total") == 0
