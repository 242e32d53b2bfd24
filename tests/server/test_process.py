"""`firstword serve` as a process, with the scripted engine: its output, and how it exits."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.process import FIRSTWORD, ServiceProcess, all_gone, environment, service_process
from tests.support.service_under_test import sse_events


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[ServiceProcess]:
    args = '{"step_s": 0.02, "prefill_s": 0.05}'
    with service_process(tmp_path / "log", within_s=20, engine="scripted", engine_args=args, drain_timeout_s="5") as running:
        yield running


def run(**settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [FIRSTWORD, "serve"],
        env=environment(engine="scripted", **settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_made_key_is_printed_once_and_works(tmp_path: Path) -> None:
    with service_process(tmp_path / "log", within_s=20, engine="scripted", api_keys="") as running:
        keys = re.findall(r"fw_[\w-]+", running.output)
        assert len(keys) == 1
        assert running.post(running.body(), headers={"x-api-key": keys[0]}).status_code == 200
        assert keys[0] not in running.output.replace(keys[0], "", 1)


def test_printed_curl_line_works(serving: ServiceProcess) -> None:
    commands = serving.output[serving.output.index("    curl") :].split("\n\n")[0]
    shown = subprocess.run(
        ["bash", "-c", commands], env=os.environ | {"FIRSTWORD_API_KEY": serving.key}, capture_output=True, text=True, check=True
    )
    assert sse_events(shown.stdout)[-1] == "[DONE]"


def test_keys_file_made_by_the_command(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    made = subprocess.run([FIRSTWORD, "keys", "add", "acme", "--file", str(file)], capture_output=True, text=True, check=True)
    key = made.stdout.strip()
    assert key not in file.read_text()
    with service_process(tmp_path / "log", within_s=20, engine="scripted", api_keys="", api_keys_file=str(file)) as running:
        assert running.post(running.body(), headers={"x-api-key": key}).status_code == 200
        assert running.post(running.body()).status_code == 401


def test_sigterm_drains_and_exits_0(serving: ServiceProcess) -> None:
    words: list[str] = []

    def talk() -> None:
        words.extend(sse_events(serving.post(serving.body("word " * 60, stream=True, max_tokens=60)).text))

    talking = threading.Thread(target=talk)
    talking.start()
    while not serving.metric("firstword_turns_running"):
        pass
    serving.process.send_signal(signal.SIGTERM)
    assert serving.wait() == 0
    talking.join(5)
    assert words[-1] == "[DONE]"
    assert "Traceback" not in serving.output


def test_sigterm_with_a_turn_that_does_not_end_exits_0_after_the_drain_time(serving: ServiceProcess) -> None:
    with httpx.stream(
        "POST",
        f"{serving.url}/v1/chat/completions",
        json=serving.body("word " * 5000, stream=True, max_tokens=2000),
        headers={"x-api-key": serving.key},
    ):
        serving.process.send_signal(signal.SIGTERM)
        assert serving.wait() == 0
    assert "Traceback" not in serving.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_to_the_group_ends_at_once(serving: ServiceProcess, number: signal.Signals) -> None:
    family = serving.family()
    serving.signal_group(number)
    assert serving.wait() == 0
    assert all_gone(family)
    assert "Traceback" not in serving.output


def test_a_log_that_nobody_reads_holds_nothing_up(tmp_path: Path) -> None:
    """stderr is a pipe that is never read: it fills after some 200 lines."""
    reader, writer = os.pipe()
    env = environment(engine="scripted", port="0", api_keys="acme=test-key-1", log_format="json", lameduck_s="0")
    log = tmp_path / "log"
    with log.open("w") as out, subprocess.Popen([FIRSTWORD, "serve"], env=env, stdout=out, stderr=writer) as process:
        while "Base URL" not in log.read_text():
            assert process.poll() is None
        port = int(re.findall(r"127\.0\.0\.1:(\d+)/v1", log.read_text())[0])
        running = ServiceProcess("127.0.0.1", port, "scripted", process=process, log=log)  # type: ignore[arg-type]
        with httpx.Client() as client:
            for _ in range(600):
                client.post(f"{running.url}/v1/chat/completions", json={}, headers={"x-api-key": running.key})
        assert running.get("/livez").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("redirect", ["> /dev/full", "2> /dev/full", "2>&-", "| sleep 0.1"])
def test_a_broken_output_does_not_stop_the_service(redirect: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = environment(engine="scripted", port=str(port), api_keys="acme=test-key-1")
    process = subprocess.Popen(["bash", "-c", f"exec {FIRSTWORD} serve {redirect}"], env=env, start_new_session=True)
    try:
        while True:
            try:
                assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code in (200, 503)
                break
            except httpx.ConnectError:
                assert "|" in redirect or process.poll() is None
        time.sleep(0.5)
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json={}, headers={"x-api-key": "test-key-1"})
        assert answer.status_code == 400
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run(port=str(taken.getsockname()[1]))
    assert ended.returncode == 2
    assert "FIRSTWORD_PORT" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"engine_args": '{"step": 1}'}, "did you mean step_s?"),
        ({"engine_args": "{"}, "FIRSTWORD_ENGINE_ARGS"),
        ({"port": "http"}, "FIRSTWORD_PORT"),
        ({"api_keys": "canary-secret"}, "entry 1"),
        ({"api_keys_file": "/nowhere/keys.yaml"}, "/nowhere/keys.yaml"),
        ({"config": "/nowhere/config.yaml"}, "/nowhere/config.yaml"),
    ],
)
def test_wrong_setting_is_one_clear_line(settings: dict[str, str], said: str) -> None:
    ended = run(**settings)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr and "canary" not in ended.stderr


def test_misspelt_variable_is_warned_of(tmp_path: Path) -> None:
    with service_process(tmp_path / "log", within_s=20, engine="scripted", api_key_file="x") as running:
        assert "FIRSTWORD_API_KEY_FILE is not a setting" in running.output
        assert "FIRSTWORD_API_KEYS_FILE" in running.output


def test_no_content_and_no_key_reach_the_output(tmp_path: Path) -> None:
    with service_process(tmp_path / "log", within_s=20, engine="scripted", key="canary-key") as running:
        running.post(running.body("canary-content"))
        running.post(running.body("canary-content", temperature=9))
        running.post(running.body(), headers={"x-api-key": "canary-wrong-key"})
        running.post(content=b'{"messages": "canary-content')
        metrics = running.get("/metrics").text
        running.process.send_signal(signal.SIGTERM)
        assert running.wait() == 0
    assert '"outcome": "on_time"' in running.output
    assert "canary" not in running.output + metrics
