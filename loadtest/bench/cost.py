"""What a server takes without its engine: processor time per streamed token, and memory."""

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
"""A measure in which the client had no processor for so long is taken again: meanwhile the streams stood still."""
_COUNTED_WITHIN_S = 0.5
"""The engine's counter may follow the last frame by so much."""


@dataclass(frozen=True)
class Meter:
    """Of a server that runs."""

    endpoint: Endpoint
    processes: Sequence[psutil.Process]
    """Whose time is the server's."""
    counter: str = TOKENS
    """Of generated tokens, at /metrics: the engine's own."""
    engine: Sequence[psutil.Process] = ()

    @classmethod
    def of(cls, endpoint: Endpoint) -> "Meter":
        """Raises `RuntimeError` where no engine is to be seen."""
        processes, engine = processes_of(endpoint.pid)
        return cls(endpoint, processes, engine=engine)

    def cpu_s(self) -> float:
        """User and system time of the server so far."""
        return _cpu_s(self.processes)

    def others_s(self) -> float:
        """Processor time of everything else on the machine, and what its host took away: what disturbs the measurement."""
        times = psutil.cpu_times()
        busy_s = times.user + times.nice + times.system + times.irq + times.softirq + times.steal
        return busy_s - _cpu_s(self.processes) - _cpu_s(self.engine) - time.process_time()

    def tokens(self) -> float:
        return counted(httpx.get(f"{self.endpoint.url}/metrics", timeout=30).text, self.counter)


def measure_cost(meter: Meter, body: Mapping[str, Any], *, streams: int, seconds: float, warm_up_s: float,
                 headers: Mapping[str, str]) -> Figures:  # fmt: skip
    """So many streams for so long: what a token cost, and how the frames came. Again, where the machine held the client up."""

    def stream(for_s: float) -> Heard:
        return uvloop.run(stream_for(meter.endpoint, body, streams=streams, seconds=for_s, headers=headers))

    stream(warm_up_s)
    tries: list[tuple[float, Figures]] = []
    while not tries or (tries[-1][0] > OVERSLEPT_S and len(tries) < _TRIES):
        tries.append(_measured(meter, stream, seconds))
    overslept_s, figures = min(tries, key=lambda each: each[0])
    return figures | {"client_overslept_s": overslept_s, "tries": len(tries)}


def _measured(meter: Meter, stream: Callable[[float], Heard], seconds: float) -> tuple[float, Figures]:
    """How long the client overslept, and the figures."""
    # The counter is read outside the processor's two readings: telling it costs the server, too.
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
    """The sum of a counter's series. Raises `RuntimeError` where it has none."""
    series = re.findall(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)", exposition, re.MULTILINE)
    if not series:
        raise RuntimeError(f"/metrics does not tell {name}.")
    return sum(map(float, series))


def processes_of(pid: int) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """The server's process and those below it; and the engine's.

    Raises `RuntimeError` where no engine is to be seen: its time would pass for the server's.
    """
    server = psutil.Process(pid)
    family = [server, *server.children(recursive=True)]
    engines = [each for each in family if _is_engine(each)]
    if not engines:
        raise RuntimeError(f"No engine process below {pid}: is the package setproctitle missing?")
    of_engine = {each.pid for engine in engines for each in (engine, *engine.children(recursive=True))}
    return [each for each in family if each.pid not in of_engine], [each for each in family if each.pid in of_engine]


def _is_engine(process: psutil.Process) -> bool:
    """By the title that vLLM gives it; several API servers would have one as well."""
    title = " ".join(process.cmdline())
    return title.startswith("VLLM::") and not title.startswith("VLLM::APIServer")


def _cpu_s(processes: Iterable[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (each.cpu_times() for each in processes))


def peak_bytes(processes: Iterable[psutil.Process]) -> int:
    """The most memory that each has ever had, summed."""
    told = [re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{each.pid}/status").read_text(), re.MULTILINE) for each in processes]
    return sum(int(line[1]) * 1024 for line in told if line)
