"""Callers who speak over the agent, on the real engine: what they leave behind is nothing."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from tests.support.process import ServiceProcess
from tests.support.service_under_test import until

PER_MINUTE = 200
PIECES = 6
"""Of text that each caller hears before it speaks."""


def barge_in(service: ServiceProcess, number: int) -> None:
    body = service.body(f"Story {number}: tell it to me at length.", stream=True, max_tokens=500, ignore_eos=True)
    url, headers = f"{service.url}/v1/chat/completions", {"x-api-key": service.key}
    with httpx.stream("POST", url, headers=headers, json=body, timeout=60) as answer:
        heard = 0
        for line in answer.iter_lines():
            heard += line.startswith("data: ")
            if heard == PIECES:
                return


def until_idle(service: ServiceProcess) -> None:
    until(lambda: service.metric("firstword_turns_running") + service.metric("vllm:num_requests_running") == 0, within_s=30)
    time.sleep(0.2)  # A turn is counted a moment after the engine has let go of it.


def test_a_dropped_turn_is_in_two_more_steps_at_most(service: ServiceProcess) -> None:
    until_idle(service)
    generated = []
    for number in range(9):
        before = service.metric("vllm:generation_tokens_total")
        barge_in(service, number)
        until_idle(service)
        generated.append(service.metric("vllm:generation_tokens_total") - before)
    # The usual one: the caller's own process may be held up, and then speaks late.
    assert statistics.median(generated) <= PIECES + 2, generated


@pytest.mark.timeout(600)
def test_two_hundred_a_minute_leave_no_leak(service: ServiceProcess) -> None:
    def held() -> tuple[int, int, float]:
        process = psutil.Process(service.process.pid)
        return process.num_fds(), process.num_threads(), service.metric("vllm:kv_cache_usage_perc")

    def turns() -> float:
        return service.metric("firstword_turns_total")

    def wave(number: int) -> None:
        already, began = turns(), time.monotonic()
        with ThreadPoolExecutor(8) as callers:
            calls = []
            for call in range(number):
                time.sleep(max(0.0, began + call * 60 / PER_MINUTE - time.monotonic()))
                calls.append(callers.submit(barge_in, service, call))
            for each in calls:
                each.result()
        until_idle(service)
        until(lambda: turns() == already + number)

    wave(10)
    before, aborts = held(), service.metric("firstword_abort_seconds_count")
    wave(PER_MINUTE // 2)
    until(lambda: held() <= before, within_s=30)
    # Of a caller whom the machine holds up, the turn may be over or refused before he speaks.
    assert PER_MINUTE // 2 - 5 <= service.metric("firstword_abort_seconds_count") - aborts <= PER_MINUTE // 2
