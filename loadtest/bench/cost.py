"""Cost of a server without its engine: CPU time per streamed token, and memory."""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvloop

from loadtest.bench.results import Figures, percentile_ms
from loadtest.bench.streams import Heard, stream_for
from loadtest.servers import Endpoint

TOKENS = "vllm:generation_tokens_total"
OVERSLEPT_S, _TRIES = 0.05, 5
"""A measurement is repeated, up to `_TRIES` times, if the client had no CPU for this many seconds: its streams stood still."""
_COUNTED_WITHIN_S = 0.5
"""Seconds after the last frame until the engine's counter has its final value."""


@dataclass(frozen=True)
class Meter:
    """Measures CPU time and tokens of a running server."""

    endpoint: Endpoint
    processes: Sequence[psutil.Process]
    """Processes of the server, without its engine."""
    counter: str = TOKENS
    """The engine's counter of generated tokens at /metrics."""
    engine: Sequence[psutil.Process] = ()

    @classmethod
    def of(cls, endpoint: Endpoint) -> "Meter":
        """The meter of a started server. Raises `RuntimeError` if no engine process is found."""
        processes, engine = processes_of(endpoint.pid)
        return cls(endpoint, processes, engine=engine)

    def cpu_s(self) -> float:
        """User and system time of the server so far, in seconds."""
        return _cpu_s(self.processes)

    def others_s(self) -> float:
        """CPU seconds of everything else on the machine, and those that its host took away. They disturb the measurement."""
        times = psutil.cpu_times()
        busy_s = times.user + times.nice + times.system + times.irq + times.softirq + times.steal
        return busy_s - _cpu_s(self.processes) - _cpu_s(self.engine) - time.process_time()

    def tokens(self) -> float:
        return counted(httpx.get(f"{self.endpoint.url}/metrics", timeout=30).text, self.counter)


def measure_cost(meter: Meter, body: Mapping[str, Any], *, streams: int, seconds: float, warm_up_s: float,
                 headers: Mapping[str, str]) -> Figures:  # fmt: skip
    """Run `streams` streams for `seconds`, and measure the cost of a token and the gaps between frames.

    Repeats if the client was held up, and returns the best try.
    """

    def stream(for_s: float) -> Heard:
        return uvloop.run(stream_for(meter.endpoint, body, streams=streams, seconds=for_s, headers=headers))

    stream(warm_up_s)
    tries: list[tuple[float, Figures]] = []
    while not tries or (tries[-1][0] > OVERSLEPT_S and len(tries) < _TRIES):
        tries.append(_measured(meter, stream, seconds))
    overslept_s, figures = min(tries, key=lambda each: each[0])
    return figures | {"client_overslept_s": overslept_s, "tries": len(tries)}


def _measured(meter: Meter, stream: Callable[[float], Heard], seconds: float) -> tuple[float, Figures]:
    """Seconds that the client overslept, and the figures."""
    # Read the counter outside the CPU measurement, because /metrics costs the server CPU time too.
    tokens = -meter.tokens()
    cpu, others, client, wall = -meter.cpu_s(), -meter.others_s(), -time.process_time(), -time.monotonic()
    heard = stream(seconds)
    cpu, others = cpu + meter.cpu_s(), others + meter.others_s()
    client, wall = client + time.process_time(), wall + time.monotonic()
    time.sleep(_COUNTED_WITHIN_S)
    tokens += meter.tokens()
    return heard.overslept_s, {
        "cpu_us_per_token": cpu / tokens * 1e6 if tokens else None,
        "cpu_us_per_frame": cpu / heard.frames * 1e6 if heard.frames else None,
        "cpu_s": cpu,
        "tokens": tokens,
        "tokens_per_s": tokens / wall,
        "client_processors": client / wall,
        "others_processors": others / wall,
        "turns": heard.turns,
        "failed": heard.failed,
        "frames_per_token": heard.frames / tokens if tokens else None,
        "ttft_p50_ms": percentile_ms(heard.ttfts_s, 50),
        "gap_p50_ms": percentile_ms(heard.gaps_s, 50),
        "gap_p99_ms": percentile_ms(heard.gaps_s, 99),
    }


def counted(exposition: str, name: str) -> float:
    """The sum of a counter's series. Raises `RuntimeError` if it has none."""
    series = re.findall(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)", exposition, re.MULTILINE)
    if not series:
        raise RuntimeError(f"/metrics does not contain {name}.")
    return sum(map(float, series))


def processes_of(pid: int) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """The server's processes and the engine's processes.

    Raises `RuntimeError` if no engine process is found: its time would count as the server's.
    """
    server = psutil.Process(pid)
    family = [server, *server.children(recursive=True)]
    engines = [each for each in family if _is_engine(each)]
    if not engines:
        raise RuntimeError(f"No engine process below {pid}. Check that the package setproctitle is installed.")
    of_engine = {each.pid for engine in engines for each in (engine, *engine.children(recursive=True))}
    return [each for each in family if each.pid not in of_engine], [each for each in family if each.pid in of_engine]


def _is_engine(process: psutil.Process) -> bool:
    """Whether the process is an engine, by the title that vLLM sets. With several API servers, they have such titles too."""
    title = " ".join(process.cmdline())
    return title.startswith("VLLM::") and not title.startswith("VLLM::APIServer")


def _cpu_s(processes: Iterable[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (each.cpu_times() for each in processes))


def peak_bytes(processes: Iterable[psutil.Process]) -> int:
    """Sum of the processes' peak memory, in bytes."""
    reported = [
        re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{each.pid}/status").read_text(), re.MULTILINE) for each in processes
    ]
    return sum(int(line[1]) * 1024 for line in reported if line)
