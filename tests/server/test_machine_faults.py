"""Faults of the machine: its disk fills, its clock jumps."""

import os
import re
import time
from pathlib import Path

import pytest

from tests.support.process import FIRSTWORD, service_process
from tests.support.service_under_test import until
from tests.support.streams import undisturbed_streams

SERVICE = Path(__file__).parents[2] / "service"
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
PACED = {"engine": "scripted", "engine_args": '{"step_s": 0.02}'}
HOUR_S = 3600
LINES_THAT_FILL_IT = 600


def test_a_disk_that_fills_with_the_log_stops_nothing(tmp_path: Path) -> None:
    """The log is on its own file system of 64 KiB, which only this process has mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=64k none {disk} && exec {FIRSTWORD} serve 2> {disk}/log"
    command = ["unshare", "-rm", "sh", "-c", mount]
    with service_process(tmp_path / "out", command, within_s=20, log_format="json", **PACED) as running:
        seen = Path(f"/proc/{running.process.pid}/root{disk}")
        with undisturbed_streams(running):
            for _ in range(LINES_THAT_FILL_IT):
                assert running.post({}).status_code == 400
        filled = os.statvfs(seen)
        assert filled.f_bavail == 0
        (seen / "log").open("w").close()  # Free the space again.
        assert running.post(running.body()).status_code == 200
        until(lambda: '"outcome": "on_time"' in (seen / "log").read_text(errors="replace"))


@pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime (Debian: faketime)")
def test_a_clock_that_jumps_disturbs_no_turn(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    variables = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    variables["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"  # As where a real clock is set.
    with service_process(tmp_path / "out", (FIRSTWORD, "serve"), variables, within_s=20, engine_stall_s="2", **PACED) as running:
        for jump_s in (HOUR_S, -HOUR_S):
            with undisturbed_streams(running):
                until(lambda: running.metric("firstword_turns_running") == 4)
                clock.write_text(f"{jump_s:+d}")
                created = running.post(running.body()).json()["created"]
                assert created == pytest.approx(time.time() + jump_s, abs=60)
        assert running.metric("firstword_ttft_seconds_sum") < 60
        assert running.metric("firstword_turn_duration_seconds_sum") < 600
        assert running.get("/livez").status_code == 200


def test_the_wall_clock_is_asked_for_what_is_shown_in_its_time_only() -> None:
    asked = {
        f"{file.relative_to(SERVICE)}: {line.strip()}"
        for file in SERVICE.rglob("*.py")
        for line in file.read_text().splitlines()
        if re.search(r"\btime\.time(_ns)?\(|\bdatetime\.(now|utcnow)\(", line)
    }
    allowed = ("created", "st_mtime", "drain_deadline", "epoch", "started_at")
    assert {line for line in asked if not any(word in line for word in allowed)} == set()
