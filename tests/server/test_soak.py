"""A short soak test: after thousands of turns, the service uses no more memory, files, threads or tasks than before."""

import asyncio
from pathlib import Path

from tests.support.service_under_test import ScriptedService, scripted_service, until
from tests.support.soak import assert_nothing_grows, run_turns

PACE = {"step_s": 0.002, "prefill_s": 0.005}
FEWER_THAN_CALLERS = 6
"""Turns at once, so that some are refused."""


def test_a_soak_leaves_neither_memory_nor_files_nor_threads(tmp_path: Path) -> None:
    assert_nothing_grows(tmp_path / "log", turns=1600, rss_bytes=8 * 2**20)


def test_a_soak_leaves_no_task() -> None:
    with scripted_service(engine_args=PACE, max_turns=FEWER_THAN_CALLERS) as running:
        before = tasks_of(running)
        run_turns(running, 800)
        assert running.engine.aborted > 100
        until(lambda: tasks_of(running) <= before)
        assert running.engine.running == 0


def tasks_of(service: ScriptedService) -> int:
    async def count() -> int:
        return len(asyncio.all_tasks())

    return asyncio.run_coroutine_threadsafe(count(), service.loop).result()
