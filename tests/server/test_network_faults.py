"""Faults of callers and networks: the service survives them, and the streams of other callers are not affected."""

import contextlib
import resource
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from service.engine.scripted.engine import Reply
from service.server import http_protocol
from service.server.http_protocol import HEAD_TIMEOUT_S
from tests.support.process import ServiceProcess, service_process
from tests.support.service_under_test import ServiceUnderTest, scripted_service, until
from tests.support.streams import undisturbed_streams

TCP_REPAIR = 19


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[ServiceProcess]:
    with service_process(tmp_path / "log", within_s=20, engine="scripted", engine_args='{"step_s": 0.02}') as running:
        yield running


def connect(service: ServiceUnderTest, number: int, held: ExitStack) -> list[socket.socket]:
    return [held.enter_context(socket.create_connection((service.host, service.port), timeout=10)) for _ in range(number)]


def is_closed(sock: socket.socket) -> bool:
    """Return True if the service has closed the connection. Earlier answers are read and dropped."""
    sock.setblocking(False)
    try:
        while sock.recv(65536):
            pass
        return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def dribble(socks: list[socket.socket], sip: bytes, *, within_s: float) -> None:
    """Send a little on each socket repeatedly, until the service has closed them all."""
    deadline = time.monotonic() + within_s
    while open_ones := [sock for sock in socks if not is_closed(sock)]:
        assert time.monotonic() < deadline, f"{len(open_ones)} are still open"
        for sock in open_ones:
            with contextlib.suppress(ConnectionError):
                sock.sendall(sip)
        time.sleep(0.3)


def open_files(service: ServiceProcess) -> int:
    return psutil.Process(service.process.pid).num_fds()


def test_a_thousand_idle_connections_cost_nobody_anything_and_are_closed_in_time(serving: ServiceProcess) -> None:
    before = open_files(serving)
    with ExitStack() as held:
        idle = connect(serving, 1000, held)
        with undisturbed_streams(serving):
            assert serving.get("/livez").status_code == 200
        assert open_files(serving) >= before + 1000
        until(lambda: all(map(is_closed, idle)), within_s=HEAD_TIMEOUT_S + 20)
    until(lambda: open_files(serving) <= before)


def test_requests_that_never_get_whole_are_ended_and_disturb_nobody(serving: ServiceProcess) -> None:
    before = open_files(serving)
    post = b"POST /v1/chat/completions HTTP/1.1\r\n"
    about_body = b"Content-Type: application/json\r\nContent-Length: 4000\r\n"
    heads = [
        post + b"x-slow: ",
        post + about_body + b"x-api-key: %b\r\n\r\n" % serving.key.encode(),
        post + about_body + b"\r\n",  # Answered 401 before its body has arrived; the bytes after that are not a new request.
    ]
    with ExitStack() as held, undisturbed_streams(serving):
        slow = connect(serving, 150, held)
        for number, sock in enumerate(slow):
            sock.sendall(heads[number % len(heads)])
        dribble(slow, b"x", within_s=HEAD_TIMEOUT_S + 20)
    until(lambda: open_files(serving) <= before)


def test_a_pause_of_the_machine_costs_no_caller_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service and the caller are paused between the connection and the request, for longer than headers may take."""
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", 0.5)
    with scripted_service() as running, ExitStack() as held:
        [sock] = connect(running, 1, held)
        time.sleep(0.1)
        running.loop.call_soon_threadsafe(time.sleep, 1.2)
        time.sleep(1.3)
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n")
        assert sock.recv(1024).startswith(b"HTTP/1.1 200")


def test_nothing_keeps_a_connection_open_between_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", 1.0)
    with scripted_service(keep_alive_s=1) as running, ExitStack() as held:
        silent, sender_of_empty_lines = connect(running, 2, held)
        for sock in (silent, sender_of_empty_lines):
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n")
            assert sock.recv(1024).startswith(b"HTTP/1.1 200")
        dribble([sender_of_empty_lines], b"\r\n", within_s=HEAD_TIMEOUT_S + 10)
        assert is_closed(silent)


def test_a_caller_that_reads_in_sips_is_dropped() -> None:
    with scripted_service(send_timeout_s=1.0) as running:
        running.engine.enqueue(Reply(steps=("x" * 10_000,) * 5000))
        with socket.socket() as sock:
            sock.connect((running.host, running.port))
            sock.sendall(running.raw_request(running.body(stream=True, max_tokens=5000)))
            until(lambda: running.engine.running == 1)
            with undisturbed_streams(running):
                deadline = time.monotonic() + 30
                while running.engine.aborted == 0 and time.monotonic() < deadline:
                    with contextlib.suppress(ConnectionError):
                        sock.recv(20_000)
                    time.sleep(0.1)
        assert running.engine.aborted == 1


def test_a_caller_that_vanished_while_its_turn_waits_is_found_out() -> None:
    """Its machine is gone, so the connection is never closed, and nothing is sent that could fail."""
    with scripted_service(send_timeout_s=2.0) as running:
        running.engine.enqueue(Reply(steps=("word",), prefill_s=60))
        with socket.create_connection((running.host, running.port)) as sock:
            sock.sendall(running.raw_request(running.body()))
            until(lambda: running.engine.running == 1)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, struct.pack("i", 1))  # Closes without sending a FIN.
            except PermissionError:
                pytest.skip("needs CAP_NET_ADMIN")
        until(lambda: running.engine.running == 0, within_s=20)


def test_one_connection_too_many_closes_the_longest_idle_and_no_turn() -> None:
    with scripted_service(max_connections=20, engine_args={"step_s": 0.02}) as running, ExitStack() as held:
        client = held.enter_context(httpx.Client(base_url=running.url))
        client.get("/livez")
        idle = connect(running, 15, held)
        with undisturbed_streams(running):
            until(lambda: running.engine.running == 4)
            flood = connect(running, 60, held)
            until(lambda: all(map(is_closed, idle)))
            assert not any(map(is_closed, flood[-10:]))
            assert running.get("/readyz").status_code == 200
            assert running.post(running.body()).status_code == 200


def test_more_long_prompts_than_there_is_room_for_are_refused() -> None:
    with scripted_service(max_turns=8, engine_args={"prefill_s": 0.5, "step_s": 0.02}) as running:
        with undisturbed_streams(running), ThreadPoolExecutor(40) as callers:
            until(lambda: running.engine.running == 4)
            long = [callers.submit(running.post, running.body("word " * 6000)) for _ in range(20)]
            endless = [callers.submit(running.post, running.body("word " * 500_000)) for _ in range(20)]
            assert {answer.result().status_code for answer in long} == {200, 503}
            assert {answer.result().status_code for answer in endless} == {400}
        assert running.get("/livez").status_code == 200
        assert running.post(running.body()).status_code == 200


def test_a_shells_limit_of_open_files_is_raised(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))  # Inherited by the process started here.
    try:
        with service_process(tmp_path / "log", within_s=20, engine="scripted", max_connections="1000") as running:
            assert psutil.Process(running.process.pid).rlimit(psutil.RLIMIT_NOFILE) == (1200, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
