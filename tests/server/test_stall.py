"""A process that hangs: it logs where, and exits. tests/live/test_faults.py tests a hang of the real engine."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.process import service_process

# `firstword serve` with an engine that hangs, or blocks the event loop, if the message asks for it.
PROGRAM = """
import asyncio, time
from service.cli.main import main
from service.engine.scripted import engine as scripted

class HangingEngine(scripted.ScriptedEngine):
    async def generate(self, turn, *, trace_headers=None):
        if "block" in turn.job.messages[-1].content:
            time.sleep(3600)
        if "hang" in turn.job.messages[-1].content:
            self.running += 1
            await asyncio.sleep(3600)
        async for step in super().generate(turn):
            yield step

scripted.ScriptedEngine = HangingEngine
main()
"""


@pytest.mark.parametrize(("word", "what"), [("hang", "engine"), ("block", "event loop")])
def test_a_hang_is_described_and_ends_the_process_with_1(tmp_path: Path, word: str, what: str) -> None:
    command = (sys.executable, "-c", PROGRAM, "serve")
    settings = {"engine": "scripted", "engine_stall_s": "1"}
    with service_process(tmp_path / "log", command, within_s=20, **settings) as running, ThreadPoolExecutor() as callers:
        assert running.post(running.body()).status_code == 200
        hung = callers.submit(running.post, running.body(f"canary {word}"))
        assert running.wait(20) == 1
        assert isinstance(hung.exception(10), httpx.TransportError) or hung.result().status_code == 500
    said = next(json.loads(line) for line in running.output.splitlines() if f'"{what} hung"' in line)
    assert said["level"] == "critical" and said["turns_running"] == 1
    assert any("generate" in frame for frame in said["threads"]["MainThread"]) == (word == "block")
    assert any("take_turn" in task and "generate" in task for task in said["tasks"]) == (word == "hang")
    assert "canary" not in running.output
