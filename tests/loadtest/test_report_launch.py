"""What `make loadtest` does, on the scripted engine: Locust's own records are read, and Ctrl-C ends it cleanly."""

import _thread
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.launch import call_it
from loadtest.report.capacity import Plan
from loadtest.report.findings import find
from loadtest.report.reading import read
from loadtest.report.thresholds import Thresholds
from loadtest.servers import Endpoint
from tests.support.service_under_test import scripted_service, until

ROOT = Path(__file__).resolve().parents[2]


def ramp(record: Path, duration: int) -> list[str]:
    return ["--scenario", "ramp", "-r", "6", "-t", str(duration), "--pause-scale", "0.05", "--record", str(record)]


def test_a_ramp_of_locusts_is_read_and_judged(tmp_path: Path) -> None:
    record = tmp_path / "run.json"
    with scripted_service(ttft_budget_s=1) as service:
        call_it(Endpoint(service.host, service.port, service.model), service.key, ramp(record, 10), 10, tmp_path / "log")
    reading = read(record)
    findings = find(reading, Thresholds(step_turns_min=1, turns_min=1), Plan())
    assert len(reading.steps) == 10
    # Locust stops a moment late, and a turn sent then is in no step.
    ended = sum(turn.standing != "cut" and turn.sent_s < reading.steps[-1].end_s for turn in reading.turns)
    assert sum(step.figures.turns for step in findings.verdict.knee.steps) == ended > 60
    assert max(reading.calls_at_once.values()) > 0
    # Go or no-go is the machine's to say; that it was called honestly is what makes it one of them.
    assert (findings.verdict.word == "invalid") == bool(reading.raw["validity"]["doubts"])


@pytest.fixture
def heeded_interrupts() -> Iterator[None]:
    """As at a terminal. Tests that a script runs in the background inherit from it that they are ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded_interrupts")
def test_ctrl_c_ends_locust_which_still_writes_its_record(tmp_path: Path) -> None:
    record, log = tmp_path / "run.json", tmp_path / "log"
    with scripted_service() as service:

        def interrupt_once_it_calls() -> None:
            until(lambda: service.metric("firstword_turns_total") > 5, within_s=60)
            _thread.interrupt_main()

        threading.Thread(target=interrupt_once_it_calls, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            call_it(Endpoint(service.host, service.port, service.model), service.key, ramp(record, 120), 120, log)
    reading = read(record)
    assert reading.turns
    assert reading.run_s < 120


def test_a_wrong_threshold_file_is_told_before_anything_starts(tmp_path: Path) -> None:
    wrong = tmp_path / "wanted.yaml"
    wrong.write_text("goodput: 1")
    command = [sys.executable, "-m", "loadtest.launch", "--thresholds", str(wrong), "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Did you mean goodput_share_min?" in done.stdout
    assert not (tmp_path / "launch-service.log").exists()


def test_what_launch_cannot_do_is_told_in_a_sentence() -> None:
    for arguments, words in (
        (("--out", "/proc/nope"), "--out /proc/nope: the folder cannot be written (No such file or directory)."),
        (("--ttft-budget-s", "-1"), "Invalid value for '--ttft-budget-s'"),
    ):
        command = [sys.executable, "-m", "loadtest.launch", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert words in done.stdout + done.stderr and "Traceback" not in done.stderr
