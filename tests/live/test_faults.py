"""The real engine dies, hangs, or is given more than it can hold."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.live.conftest import ENGINE_START_S
from tests.support.process import ServiceProcess, all_gone, service_process
from tests.support.service_under_test import NO_TLS, sse_events, until

LONG = 4500
"""Tokens of a prompt that is prefilled in one step, which takes longer than the stall time."""
PATIENCE_S = 240
"""With an engine that takes seconds for a step."""
STALL_S = 4.0
"""Long enough that a machine which other work holds up is not taken for a hang."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[ServiceProcess]:
    """Its KV cache holds two long prompts, and nobody there minds waiting: what is in the engine is the tests' to choose."""
    args = {"max_num_batched_tokens": LONG + 200, "kv_cache_memory_bytes": 225 * 2**20}
    patience = {"ttft_budget_s": str(PATIENCE_S), "ttft_budget_max_s": str(PATIENCE_S), "tpot_bound_s": "60"}
    settings = {"engine_args": json.dumps(args), "engine_stall_s": str(STALL_S), "max_turns": "4", **patience}
    with service_process(tmp_path / "log", within_s=ENGINE_START_S, **settings) as running:
        yield running


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def begin_turns(service: ServiceProcess, callers: ThreadPoolExecutor) -> list["Future[httpx.Response]"]:
    """Four turns without an end in sight, two of them streams; all are in the engine when this returns."""
    endless: dict[str, Any] = {"max_tokens": 4000, "ignore_eos": True}
    bodies = [service.body("Tell me a story.", stream=half < 2, **endless) for half in range(4)]
    turns = [callers.submit(service.post, body, timeout=PATIENCE_S) for body in bodies]
    until(lambda: service.metric("firstword_turns_running") == 4, within_s=60)
    until_decoding(service, tokens=40)
    return turns


@contextmanager
def telling_a_story(service: ServiceProcess) -> Iterator[None]:
    """A turn that is being decoded for as long as the block runs."""
    body = service.body("Tell me a story.", stream=True, max_tokens=4000, ignore_eos=True)
    caller = httpx.Client(base_url=service.url, headers={"x-api-key": service.key}, timeout=PATIENCE_S, verify=NO_TLS)
    with caller as client, client.stream("POST", "/v1/chat/completions", json=body) as story:
        lines = story.iter_lines()
        assert next(line for line in lines if '"content":' in line)
        yield


def until_decoding(service: ServiceProcess, *, tokens: int) -> None:
    """The engine has made so many tokens from now on: a turn that runs may have only been given to it."""
    already = service.metric("vllm:generation_tokens_total")
    until(lambda: service.metric("vllm:generation_tokens_total") >= already + tokens, within_s=60)


def assert_ended_with_an_error(turns: list["Future[httpx.Response]"]) -> None:
    streams, whole = turns[:2], turns[2:]
    for stream in streams:
        last = sse_events(stream.result(60).text)[-1]
        assert isinstance(last, dict) and last["error"]["code"] == "engine_error"
    for answer in whole:
        assert answer.result(60).status_code == 500
        assert answer.result(60).json()["error"]["code"] == "engine_error"


def engine_of(family: list[psutil.Process]) -> psutil.Process:
    return next(member for member in family if "EngineCore" in member.name())


def test_a_killed_engine_ends_every_turn_with_an_error_and_the_process(own: ServiceProcess, callers: ThreadPoolExecutor) -> None:
    family = own.family()
    turns = begin_turns(own, callers)
    engine = engine_of(family)
    engine.kill()
    engine.wait(10)  # A machine on which it lives on says so here, not minutes later.
    assert_ended_with_an_error(turns)
    assert own.wait(10) == 1
    assert all_gone(family)


@pytest.mark.timeout(600)
def test_a_slow_engine_is_no_hang_and_a_stopped_one_is(own: ServiceProcess, callers: ThreadPoolExecutor) -> None:
    family = own.family()
    # One that decodes beside it shows how long the other's prefill takes: of a step that both begin in, nobody can tell.
    with telling_a_story(own):
        assert own.post(own.body("word " * 600)).status_code == 200

    bodies = [own.body(f"{number} " + "word " * LONG) for number in range(10)]
    long = [callers.submit(own.post, body, timeout=PATIENCE_S) for body in bodies]
    statuses = sorted(answer.result(PATIENCE_S).status_code for answer in long)
    assert statuses == [200] * 4 + [503] * 6  # As many as there is room for, one after another, each with a step of seconds.
    assert own.post(own.body("word " * 2 * LONG)).status_code == 400

    turns = begin_turns(own, callers)
    engine_of(family).send_signal(signal.SIGSTOP)
    assert_ended_with_an_error(turns)
    assert own.wait(15) == 1
    assert all_gone(family)
    said = next(json.loads(line) for line in own.output.splitlines() if '"engine hung"' in line)
    assert said["turns_running"] == 4 and said["last_step"]["running"] == 4
    assert any("EngineCore" in process["name"] and process["status"] == "stopped" for process in said["processes"])
    assert any("MainThread" in name for name in said["threads"]) and said["tasks"]
    assert "Tell me" not in own.output
