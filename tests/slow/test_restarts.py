"""Rolling restarts of two replicas behind HAProxy, which retries nothing, and neither do the callers: not one turn is lost."""

import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.slow.haproxy import SERVERS, haproxy
from tests.slow.open_loop import ANSWERED, Load, open_loop
from tests.support.process import ServiceProcess, free_port, service_process

RESTARTS = 4
BETWEEN_S = 3.0
# Every turn has one try; connections to a replica are shared, which is the hardest for one that closes them.
HARDEST = {
    "retry-on conn-failure 503": "http-reuse always",
    "retries 1": "retries 0",
    "option redispatch 1": "no option redispatch",
}


class Replica:
    """A service on a port of its own, whose process is replaced now and then."""

    def __init__(self, log: Path, settings: dict[str, str]) -> None:
        self.port = free_port()
        self._log = log
        self._settings = settings
        self._scope = ExitStack()

    def start(self) -> ServiceProcess:
        process = service_process(self._log, within_s=240, port=str(self.port), **self._settings)
        self.running = self._scope.enter_context(process)
        return self.running

    def replace(self) -> None:
        """SIGTERM, its end, and a new one that is ready."""
        self.running.process.send_signal(signal.SIGTERM)
        assert self.running.wait(120) == 0
        assert "Traceback" not in self.running.output
        self.start()

    def __enter__(self) -> "Replica":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._scope.close()


def roll(folder: Path, *, rate: float, max_tokens: int, checks: str, **settings: str) -> Load:
    """Replace two replicas by turns under so many turns a second; returns what became of them."""
    with ExitStack() as scope:
        replicas = [scope.enter_context(Replica(folder / f"{name}.log", settings)) for name in SERVERS]
        ports = [replica.port for replica in replicas]
        proxy = scope.enter_context(haproxy(folder, ports, HARDEST | {"inter 1s fall 2 rise 1": checks}))
        one = replicas[0].running
        body = one.body("word " * max_tokens, max_tokens=max_tokens)
        load = scope.enter_context(open_loop(proxy.url, one.key, body, rate=rate))
        for restart in range(RESTARTS):
            time.sleep(BETWEEN_S)
            replicas[restart % 2].replace()
            proxy.await_up(*SERVERS)
            sys.stderr.write(f"restart {restart + 1} of {RESTARTS}: {load.begun} turns begun, failed: {load.failed}\n")
        time.sleep(BETWEEN_S)
    sys.stderr.write(f"{load.endings.total()} turns at {rate:g}/s: {dict(load.endings)}\n")
    return load


def test_scripted_engines_at_a_high_rate(tmp_path: Path) -> None:
    scripted = {"engine": "scripted", "engine_args": '{"prefill_s": 0.05, "step_s": 0.02}', "max_turns": "1000"}
    load = roll(tmp_path, rate=100, max_tokens=20, checks="inter 200ms fall 2 rise 1", lameduck_s="2", **scripted)
    assert not load.failed
    assert load.endings[ANSWERED] > 2000


@pytest.mark.timeout(900)
def test_real_engines_at_a_low_rate(tmp_path: Path) -> None:
    real = {"engine_args": '{"kv_cache_memory_bytes": 268435456}', "drain_timeout_s": "60"}
    load = roll(tmp_path, rate=0.7, max_tokens=30, checks="inter 500ms fall 2 rise 1", lameduck_s="6", **real)
    assert not load.failed
    assert load.endings[ANSWERED] > 50
