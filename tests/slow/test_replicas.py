"""Two independent replicas behind HAProxy: a refused turn has its second try, and a hang-up reaches the engine."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from service.engine.scripted.engine import Reply
from tests.slow.haproxy import haproxy
from tests.support.service_under_test import ScriptedService, scripted_service, until

LONG = Reply(steps=("word",) * 2000, step_s=0.01)
ROOMY = {"max_model_len": 50_000}
PREFILLING = Reply(steps=("late",), prefill_s=60)


@dataclass
class Pair:
    small: ScriptedService
    large: ScriptedService
    proxied: ScriptedService
    """The one that HAProxy picks, as a caller sees it."""

    def hold(self, scope: ExitStack, service: ScriptedService) -> None:
        """A turn that stays in this service until the scope ends, sent past the proxy."""
        service.engine.enqueue(LONG)
        before = service.engine.running
        sock = scope.enter_context(socket.create_connection((service.host, service.port)))
        sock.sendall(service.raw_request(service.body(stream=True, max_tokens=2000)))
        until(lambda: service.engine.running == before + 1)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with (
        scripted_service(max_turns=1, engine_args=ROOMY) as small,
        scripted_service(max_turns=4, engine_args=ROOMY) as large,
        haproxy(tmp_path, [small.port, large.port], {}) as proxy,
    ):
        yield Pair(small, large, replace(small, port=proxy.port))


@pytest.mark.parametrize("chars", [10, 40_000])
def test_a_refused_turn_is_tried_once_more_elsewhere(pair: Pair, chars: int) -> None:
    """To HAProxy both replicas are idle, so it asks the full one every other time."""
    with ExitStack() as scope:
        pair.hold(scope, pair.small)
        answers = [pair.proxied.post(pair.proxied.body("x" * chars)) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 6
    assert [job.tenant for job in pair.large.engine.jobs].count("acme") == 6
    assert 'outcome="refused_capacity",tenant="acme"} 0.0' not in pair.small.get("/metrics").text


def test_a_turn_that_both_refuse_is_told_so_in_our_words(pair: Pair) -> None:
    with ExitStack() as scope:
        pair.hold(scope, pair.small)
        for _ in range(4):
            pair.hold(scope, pair.large)
        refused = pair.proxied.post(pair.proxied.body())
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
    assert refused.headers["x-firstword-refused"] == "capacity"


@pytest.mark.parametrize("reply", [LONG, PREFILLING], ids=["decode", "prefill"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_caller_who_hangs_up_frees_the_engine_through_the_proxy(pair: Pair, reply: Reply, stream: bool) -> None:
    engines = pair.small.engine, pair.large.engine
    for engine in engines:
        engine.enqueue(reply)
    with socket.create_connection((pair.proxied.host, pair.proxied.port)) as sock:
        sock.sendall(pair.proxied.raw_request(pair.proxied.body(stream=stream, max_tokens=2000)))
        until(lambda: sum(engine.running for engine in engines) == 1)
        if stream and reply is LONG:
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
    until(lambda: sum(engine.running for engine in engines) == 0)
    assert sum(engine.aborted for engine in engines) == 1
