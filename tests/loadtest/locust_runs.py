"""Locust as a user runs it: a process of its own, with its web page or without."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from loadtest.calls.rows import CALL_COLUMNS, TURN_COLUMNS
from tests.support.process import environment, free_port
from tests.support.service_under_test import KEY, until

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class LocustRun:
    exit_code: int
    tables: str
    """What Locust printed."""
    words: str
    """What we, and its log, said on stderr."""
    record: dict[str, Any] = field(default_factory=dict)
    """Empty where none was written."""

    @property
    def turns(self) -> list[dict[str, Any]]:
        return [dict(zip(TURN_COLUMNS, row, strict=True)) for row in self.record["turns"]["rows"]]

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [dict(zip(CALL_COLUMNS, row, strict=True)) for row in self.record["calls"]["rows"]]

    @property
    def doubts(self) -> str:
        return "\n".join(self.record["validity"]["doubts"])

    def entries(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Locust's own, by type and name; from `--json`."""
        return {(entry["method"], entry["name"]): entry for entry in json.loads(self.tables)}


def command(url: str, *options: str) -> list[str]:
    return [str(Path(sys.executable).with_name("locust")), "-f", "loadtest/locustfile.py", "--host", url, *options]


def locust(
    url: str,
    folder: Path,
    *options: str,
    variables: Mapping[str, str] | None = None,
    after_s: float = 0.0,
    then: Callable[[psutil.Process], None] | None = None,
) -> LocustRun:
    """Run to the end. What is to happen meanwhile, so long after the start, is done to Locust's first process."""
    file = folder / "record.json"
    port = str(free_port())  # Of its own, for its workers.
    ports = ["--master-bind-port", port, "--master-port", port] if "--processes" in options else []
    words = command(url, "--headless", "--json", "--record", str(file), *ports, *options)
    with locust_process(words, variables) as process:
        if then:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(after_s)
            then(psutil.Process(process.pid))
        out, err = process.communicate(timeout=90)
    record = json.loads(file.read_text()) if file.exists() else {}
    return LocustRun(process.returncode, out, err, record)


@contextmanager
def web_page(host: str, record: Path, *options: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Locust with its web page: the process, and the page's URL once it answers."""
    port = str(free_port())
    page = f"http://127.0.0.1:{port}"
    words = command(host, "--web-host", "127.0.0.1", "--web-port", port, "--record", str(record), *options)
    with locust_process(words) as process:
        until(lambda: _is_up(page), within_s=20)
        yield process, page


def _is_up(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def locust_process(words: list[str], variables: Mapping[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
    """In a process group of its own; killed at the end where it has not ended itself. By default with the key of the tests."""
    env = environment() | dict({"FIRSTWORD_API_KEY": KEY} if variables is None else variables)
    process = subprocess.Popen(
        # Tests that a script runs in the background inherit from it that interrupts are ignored; Locust is to heed them.
        ["env", "--default-signal=INT", *words],
        cwd=ROOT,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=10)
