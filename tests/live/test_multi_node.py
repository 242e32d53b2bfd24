"""One replica on two nodes: here two processes on loopback, each with half of the embedded model's layers."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.live.conftest import ENGINE_START_S
from tests.live.test_process import talk
from tests.server.test_multi_node import free_pair
from tests.support.process import FIRSTWORD, ServiceProcess, all_gone, environment, service_process

# Nine attention heads can't be halved; layers can. Not eager: without a warm-up run, vLLM 0.32's CPU worker has nowhere to put
# what the stage before it sends (docs/multi-node.md).
ENGINE_ARGS = {
    "pipeline_parallel_size": 2,
    "enforce_eager": False,
    "compilation_config": {"mode": 2, "backend": "eager"},
    "max_model_len": 1024,
    "kv_cache_memory_bytes": 2**28,
}


@pytest.fixture
def nodes() -> dict[str, str]:
    """The settings that both have."""
    place = {"nodes": "2", "master_address": "localhost", "master_port": str(free_pair())}
    return place | {"engine_args": json.dumps(ENGINE_ARGS), "drain_timeout_s": "120"}


@contextmanager
def worker(log: Path, **settings: str) -> Iterator["subprocess.Popen[str]"]:
    with log.open("w") as out:
        env = environment(**({"node_rank": "1", "log_format": "json"} | settings))
        process = subprocess.Popen([FIRSTWORD, "worker"], env=env, stdout=out, stderr=out, text=True, start_new_session=True)
    try:
        yield process
    finally:
        print(log.read_text())  # noqa: T201  # pytest shows it with a test that fails.
        if process.poll() is None:
            for member in family(process):
                member.kill()
            process.wait(10)


def family(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]


@contextmanager
def replica(folder: Path, settings: dict[str, str]) -> Iterator[tuple[ServiceProcess, "subprocess.Popen[str]"]]:
    with (
        worker(folder / "worker.log", **settings) as follower,
        service_process(folder / "leader.log", within_s=ENGINE_START_S, **settings) as leader,
    ):
        yield leader, follower


def test_two_nodes_answer_and_a_node_that_is_told_to_go_stays_until_the_leader_has_drained(
    tmp_path: Path, nodes: dict[str, str]
) -> None:
    with replica(tmp_path, nodes) as (leader, follower):
        members = [*leader.family(), *family(follower)]
        assert sum("Worker_PP" in member.name() for member in members) == 2
        body = leader.body("What is the capital of France?", temperature=0, max_tokens=20)
        assert "Paris" in leader.post(body).json()["choices"][0]["message"]["content"]

        thread, events = talk(leader, max_tokens=60)
        follower.send_signal(signal.SIGTERM)
        leader.process.send_signal(signal.SIGTERM)
        thread.join(120)
        assert events[-1] == "[DONE]" and len(events) > 40
        assert leader.wait() == 0
        assert follower.wait(15) == 0
        assert all_gone(members)


def test_a_node_that_dies_ends_every_turn_with_an_error_and_the_leader(tmp_path: Path, nodes: dict[str, str]) -> None:
    with replica(tmp_path, nodes) as (leader, follower):
        other = nodes | {"engine_args": json.dumps(ENGINE_ARGS | {"seed": 1})}
        with worker(tmp_path / "other.log", **other) as stranger:
            assert stranger.wait(90) == 2
        assert "The leader refuses this node: it was started with fp_" in (tmp_path / "other.log").read_text()
        assert leader.post(leader.body(max_tokens=5)).status_code == 200

        members = leader.family()
        thread, events = talk(leader, max_tokens=800)
        for member in family(follower):
            member.kill()
        thread.join(20)
        assert isinstance(events[-1], dict) and events[-1]["error"]["code"] == "engine_error"
        assert leader.wait(15) == 1
        assert all_gone(members)
        assert '"node lost"' in leader.output


def test_a_leader_that_dies_ends_its_nodes(tmp_path: Path, nodes: dict[str, str]) -> None:
    with replica(tmp_path, nodes) as (leader, follower):
        members = family(follower)
        leader.signal_group(signal.SIGKILL)
        assert follower.wait(15) == 1
        assert all_gone(members)
        assert '"leader gone"' in (tmp_path / "worker.log").read_text()
