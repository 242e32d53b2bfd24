"""How the real service ends: with its engine, whoever tells it to, and with no process left."""

import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.live.conftest import ENGINE_START_S
from tests.support.process import FIRSTWORD, ServiceProcess, all_gone, environment, service_process
from tests.support.service_under_test import sse_events


@pytest.fixture
def own(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service of the test's own: it will not outlive it."""
    with service_process(tmp_path / "log", within_s=ENGINE_START_S, drain_timeout_s="60") as running:
        yield running


def talk(service: ServiceProcess, max_tokens: int) -> tuple[threading.Thread, list[object]]:
    """A stream in a thread, begun when this returns; its events come into the list."""
    events: list[object] = []

    def listen() -> None:
        body = service.body("Tell me a long story.", stream=True, max_tokens=max_tokens, ignore_eos=True)
        events.extend(sse_events(service.post(body).text))

    thread = threading.Thread(target=listen)
    thread.start()
    while not service.metric("firstword_turns_running"):
        pass
    return thread, events


def test_sigterm_to_the_service_alone_drains(own: ServiceProcess) -> None:
    family = own.family()
    assert any("EngineCore" in member.name() for member in family)
    thread, events = talk(own, max_tokens=150)
    own.process.send_signal(signal.SIGTERM)
    thread.join(60)
    assert events[-1] == "[DONE]"
    assert len(events) > 100
    assert own.wait() == 0
    assert all_gone(family)
    assert "Traceback" not in own.output


def test_ctrl_c_ends_everything_at_once(own: ServiceProcess) -> None:
    family = own.family()
    own.signal_group(signal.SIGINT)
    assert own.wait() == 0
    assert all_gone(family)
    assert "Traceback" not in own.output


@pytest.mark.parametrize("stage", ["Loading vLLM", "Starting the engine"])
def test_ctrl_c_while_it_loads(tmp_path: Path, stage: str) -> None:
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [FIRSTWORD, "serve"], env=environment(port="0"), stdout=out, stderr=out, start_new_session=True
        )
    while stage not in log.read_text():
        assert process.poll() is None, log.read_text()
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert all_gone(family)
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"engine_args": '{"max_modl_len": 1024}'}, "did you mean max_model_len?"),
        ({"engine_args": '{"max_model_len": 10000000}'}, "max_model_len"),
        ({"model": "/nowhere/model"}, "/nowhere/model"),
        ({"tool_parser": "hermez"}, "FIRSTWORD_TOOL_PARSER must be one of auto, none, "),
        ({"reasoning_parser": "thinker"}, "deepseek_r1"),
    ],
)
def test_what_the_engine_cannot_be_is_refused_at_start(settings: dict[str, str], said: str) -> None:
    env = environment(port="0", **settings)
    ended = subprocess.run([FIRSTWORD, "serve"], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
