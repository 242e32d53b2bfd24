"""`firstword serve` as a process of its own, in its own process group: what a user starts and Kubernetes stops."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.service_under_test import ServiceUnderTest

FIRSTWORD = str(Path(sys.executable).with_name("firstword"))


@dataclass
class ServiceProcess(ServiceUnderTest):
    process: "subprocess.Popen[str]" = field(kw_only=True)
    log: Path = field(kw_only=True)

    @property
    def output(self) -> str:
        return self.log.read_text()

    def family(self) -> list[psutil.Process]:
        """The service and every process below it."""
        service = psutil.Process(self.process.pid)
        return [service, *service.children(recursive=True)]

    def signal_group(self, number: signal.Signals) -> None:
        """What a terminal does at Ctrl-C."""
        os.killpg(self.process.pid, number)

    def wait(self, timeout_s: float = 30) -> int:
        return self.process.wait(timeout_s)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def environment(**settings: str) -> dict[str, str]:
    """This process's environment, with only these FIRSTWORD_* variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTWORD_")}
    return kept | {f"FIRSTWORD_{name.upper()}": value for name, value in settings.items()}


@contextmanager
def service_process(
    log: Path,
    command: Sequence[str] = (FIRSTWORD, "serve"),
    variables: Mapping[str, str] | None = None,
    /,
    *,
    within_s: float,
    key: str = "test-key-1",
    **settings: str,
) -> Iterator[ServiceProcess]:
    """A service that is ready, on a free port; killed at the end where it has not ended itself.

    `command` may do more before it becomes the service; `variables` are of the environment and no settings.
    """
    env = environment(**({"port": "0", "api_keys": f"acme={key}", "lameduck_s": "0"} | settings)) | dict(variables or {})
    with log.open("w") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out, text=True, start_new_session=True)
    try:
        found = _await_banner(process, log, time.monotonic() + within_s)
        host, port, model = found[1], int(found[2]), found[3]
        yield ServiceProcess(host, port, model, key, process=process, log=log)
    finally:
        sys.stdout.write(log.read_text())  # pytest shows it with a test that fails.
        if process.poll() is None:
            for member in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
                member.kill()
            process.wait(10)


def _await_banner(process: "subprocess.Popen[str]", log: Path, deadline: float) -> "re.Match[str]":
    while True:
        found = re.search(r"Base URL +http://([\d.]+):(\d+)/v1\n +Model ID +(\S+)", log.read_text())
        if found:
            return found
        assert process.poll() is None, f"ended with {process.returncode}:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"not ready:\n{log.read_text()}"
        time.sleep(0.05)


def all_gone(members: list[psutil.Process], *, within_s: float = 5) -> bool:
    _, alive = psutil.wait_procs(members, timeout=within_s)
    return not alive
