"""Thousands of turns of every kind against one process, and what it holds before and after."""

import random
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.support.process import ServiceProcess, service_process
from tests.support.service_under_test import ServiceUnderTest, until

CALLERS = 8
WARM_TURNS = 800
"""Allocators, pools and caches fill first."""


@dataclass(frozen=True)
class Held:
    """What a process holds, read from /proc."""

    files: int
    threads: int
    rss_bytes: int


def held_by(service: ServiceProcess) -> Held:
    process = psutil.Process(service.process.pid)
    return Held(process.num_fds(), process.num_threads(), process.memory_info().rss)


def run_turns(service: ServiceUnderTest, number: int) -> None:
    """So many turns by several callers at once, of all kinds, each ended as its caller wished. Returns once none is left."""
    broken: list[BaseException] = []

    def call(caller: int) -> None:
        dice = random.Random(caller)
        try:
            with httpx.Client(base_url=service.url, headers={"x-api-key": service.key}, timeout=60) as client:
                for _ in range(number // CALLERS):
                    dice.choice((_stream, _whole, _hang_up_in_the_stream, _hang_up_before_it, _bad_input, _bad_key))(
                        service, client
                    )
        except BaseException as error:
            broken.append(error)
            raise

    callers = [threading.Thread(target=call, args=(caller,)) for caller in range(CALLERS)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert not broken
    until(lambda: service.metric("firstword_turns_running") + service.metric("firstword_turns_waiting") == 0)


def _stream(service: ServiceUnderTest, client: httpx.Client) -> None:
    answer = client.post("/v1/chat/completions", json=service.body(stream=True))
    assert answer.text.endswith("data: [DONE]\n\n") or answer.status_code == 503


def _whole(service: ServiceUnderTest, client: httpx.Client) -> None:
    assert client.post("/v1/chat/completions", json=service.body()).status_code in (200, 503)


def _hang_up_in_the_stream(service: ServiceUnderTest, client: httpx.Client) -> None:
    body = service.body("word " * 200, stream=True, max_tokens=200)
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_bytes())


def _hang_up_before_it(service: ServiceUnderTest, client: httpx.Client) -> None:
    with socket.create_connection((service.host, service.port)) as sock:
        sock.sendall(service.raw_request(service.body()))


def _bad_input(service: ServiceUnderTest, client: httpx.Client) -> None:
    assert client.post("/v1/chat/completions", json=service.body(temperature=9)).status_code == 400


def _bad_key(service: ServiceUnderTest, client: httpx.Client) -> None:
    assert client.post("/v1/chat/completions", json=service.body(), headers={"x-api-key": "wrong"}).status_code == 401


_KINDS = (_stream, _whole, _hang_up_in_the_stream, _hang_up_before_it, _bad_input, _bad_key)


def assert_nothing_grows(log: Path, *, turns: int, rss_bytes: int) -> None:
    """A soak of a process of its own; its memory may grow by so much, nothing else by anything."""
    args = '{"step_s": 0.002, "prefill_s": 0.005}'
    with service_process(log, within_s=20, engine="scripted", engine_args=args, max_turns="6") as running:
        run_turns(running, WARM_TURNS)
        before = held_by(running)
        run_turns(running, turns)
        until(lambda: held_by(running).files <= before.files)
        after = held_by(running)
    assert after.threads <= before.threads
    assert after.rss_bytes - before.rss_bytes < rss_bytes, (before, after)
