"""A real browser, without a window: what it makes of a file, what the file has it ask the network for, what it complains of."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Seen:
    dom: str
    asked: list[str]
    """Addresses, of the network."""
    complaints: list[str]
    """On the console."""


def look(page: Path, folder: Path, *, width: int = 1200) -> Seen:
    """Open the file; the document as it is once it has been laid out."""
    log = folder / "network.json"
    done = _run(page, folder, [f"--window-size={width},900", "--dump-dom", f"--log-net-log={log}"])
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Seen(done.stdout, list(_asked(json.loads(log.read_text()))), complaints)


def picture(page: Path, folder: Path, file: Path, *, width: int = 1200, height: int = 1000, flags: tuple[str, ...] = ()) -> None:
    _run(page, folder, [f"--window-size={width},{height}", "--hide-scrollbars", f"--screenshot={file}", *flags])


def _asked(log: dict[str, dict[str, dict[str, int]] | list[dict[str, object]]]) -> Iterator[str]:
    """By the page. What the browser asks on its own account (is there a newer one?) has no origin."""
    constants, events = log["constants"], log["events"]
    assert isinstance(constants, dict)
    assert isinstance(events, list)
    begun = constants["logEventTypes"]["URL_REQUEST_START_JOB"]
    for event in events:
        reported = event.get("params")
        if (
            event["type"] == begun
            and isinstance(reported, dict)
            and reported.get("initiator") != "not an origin"
            and "url" in reported
        ):
            yield str(reported["url"])


def _run(page: Path, folder: Path, flags: list[str]) -> "subprocess.CompletedProcess[str]":
    """As root it has no sandbox, and here it opens only what the test wrote. No name is found, so nothing leaves the machine."""
    found = shutil.which("chromium")
    if found is None:
        pytest.fail("Chromium is missing; on Debian: apt-get install --no-install-recommends chromium")
    quiet = [
        "--disable-background-networking",
        "--no-first-run",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ]
    command = [found, "--headless", "--no-sandbox", "--disable-gpu", *quiet, f"--user-data-dir={folder / 'chromium'}"]
    command += ["--enable-logging=stderr", "--virtual-time-budget=5000", *flags, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
