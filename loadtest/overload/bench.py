"""Measures the cells of one server: workload by workload, from light to heavy load."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from loadtest.overload.client import Answer, ask
from loadtest.overload.loops import Window, closed_loop, open_loop
from loadtest.overload.measures import Bounds, Measures, measure, throughput
from loadtest.overload.results import FLOOD, OURS, PLAIN, TUNED, Cell, Results
from loadtest.overload.targets import FLOOD_FACTOR
from loadtest.overload.workloads import Workload
from loadtest.servers import Endpoint, firstword_serve, vllm_serve
from service.settings import Settings

AT_ONCE = (32, 64, 128)
"""Numbers of calls at a time that are tried to measure capacity. Throughput does not rise evenly with the batch."""
IDLE_WITHIN_S = 60.0

_KEYS = {tenant: secrets.token_urlsafe(16) for tenant in ("bench", "fair", "flooding")}


@dataclass(frozen=True)
class Plan:
    """What to measure. Times are in seconds."""

    servers: Sequence[str]
    workloads: Sequence[str]
    """Names of workloads, and `flood`."""
    loads: Sequence[float]
    duration_s: float
    seed: int

    @property
    def kinds(self) -> list[str]:
        """The workloads without `flood`, which only our server is measured with."""
        return [name for name in self.workloads if name != FLOOD]

    def window(self, workload: Workload, bounds: Bounds) -> Window:
        """The times of a cell. The tail is so long that a turn cut at its end had already exceeded its bounds."""
        settle_s = min(workload.settle_s, self.duration_s)
        return Window(settle_s, self.duration_s, workload.longest_s(bounds.ttft_s, bounds.tpot_s))

    @property
    def cells(self) -> int:
        """Number of cells that the plan measures."""
        return len(self.loads) * len(self.kinds) * len(self.servers) + 2 * (OURS in self.servers and FLOOD in self.workloads)

    @property
    def warm_up_s(self) -> float:
        return self.duration_s / 3


class Bench:
    """Measures into `results`. It calls `on_cell` after each cell, and `say` with its current work."""

    def __init__(
        self,
        plan: Plan,
        workloads: Mapping[str, Workload],
        results: Results,
        *,
        on_cell: Callable[[Cell], None],
        say: Callable[[str], None],
    ) -> None:
        self._plan, self._workloads, self._results = plan, workloads, results
        self._on_cell, self._say = on_cell, say

    def needs_capacity(self) -> list[Workload]:
        """The workloads of the plan with unknown capacity. A flood needs the capacity of `uniform`."""
        needed = dict.fromkeys("uniform" if name == FLOOD else name for name in self._plan.workloads)
        return [self._workloads[name] for name in needed if name not in self._results.capacity]

    async def run(self, server: str, endpoint: Endpoint, names: Sequence[str]) -> None:
        """Measure the cells of one server for these workloads."""
        for name in names:
            if name == FLOOD:
                if server == OURS:
                    await self._flood(endpoint)
                continue
            workload = self._workloads[name]
            await self._warm_up(server, endpoint, workload)
            for load in self._plan.loads:
                self._say(f"{server}: {name} at {load:g}×")
                offered = load * self._results.capacity[name]
                measures = await self._open(endpoint, workload, offered, f"{self._plan.seed}/{load:g}")
                self._put(Cell(server, name, load, measures))
                await _until_idle(endpoint)

    async def find_capacity(self, endpoint: Endpoint) -> None:
        """Measure capacity on a server that refuses nothing: the highest turns per second over `AT_ONCE`."""
        for workload in self.needs_capacity():
            await _say_first_words(endpoint, workload)
            found = []
            for at_once in AT_ONCE:
                self._say(f"capacity: {workload.name}, {at_once} calls at a time")
                found.append(await self._throughput(endpoint, workload, at_once))
            self._results.set_capacity(workload.name, round(max(found), 2))
            await _until_idle(endpoint)

    async def goodput(self, endpoint: Endpoint, name: str, load: float) -> float:
        """Goodput of a trial cell. It is half as long, has other calls, and is not recorded."""
        workload = self._workloads[name]
        await _say_first_words(endpoint, workload)
        window = replace(self._plan, duration_s=self._plan.duration_s / 2).window(workload, self._results.bounds)
        offered = load * self._results.capacity[name]
        return (await self._open(endpoint, workload, offered, f"{self._plan.seed}/tried", window)).goodput

    async def _throughput(self, endpoint: Endpoint, workload: Workload, at_once: int) -> float:
        window = replace(self._window(workload), counted_s=self._plan.duration_s / 2, tail_s=0)
        seed = f"{self._plan.seed}/capacity/{at_once}"
        return throughput(await closed_loop(endpoint, workload, at_once=at_once, seed=seed, window=window))

    def _window(self, workload: Workload) -> Window:
        return self._plan.window(workload, self._results.bounds)

    async def _open(
        self, endpoint: Endpoint, workload: Workload, offered: float, seed: str, window: Window | None = None
    ) -> Measures:
        window = window or self._window(workload)
        recording = await open_loop(endpoint, workload, calls_per_s=offered / workload.turns_per_call, seed=seed, window=window)
        return measure(recording, offered, self._results.bounds)

    async def _warm_up(self, server: str, endpoint: Endpoint, workload: Workload) -> None:
        """Run uncounted load, so that the prefix cache is filled and the server's estimates have settled."""
        self._say(f"{server}: {workload.name}, warming up")
        await _say_first_words(endpoint, workload)
        calls_per_s = self._results.capacity[workload.name] / 2 / workload.turns_per_call
        window = Window(0, self._plan.warm_up_s, 0)
        await open_loop(endpoint, workload, calls_per_s=calls_per_s, seed=f"{self._plan.seed}/warm-up", window=window)
        await _until_idle(endpoint)

    async def _flood(self, endpoint: Endpoint) -> None:
        """Two tenants with equal weights. One offers its fair share (half of capacity), the other `FLOOD_FACTOR` times that."""
        uniform = self._workloads["uniform"]
        await self._warm_up(OURS, endpoint, uniform)
        self._say(f"{OURS}: one tenant floods")
        share = self._results.capacity["uniform"] / 2
        offers = {"fair": 1.0, "flooding": FLOOD_FACTOR}
        of_each = await asyncio.gather(
            *(
                self._open(replace(endpoint, key=_KEYS[tenant]), uniform, load * share, f"{self._plan.seed}/{tenant}")
                for tenant, load in offers.items()
            )
        )
        for load, measures in zip(offers.values(), of_each, strict=True):
            self._put(Cell(OURS, FLOOD, load, measures))
        await _until_idle(endpoint)

    def _put(self, cell: Cell) -> None:
        self._results.put(cell)
        self._on_cell(cell)


@contextmanager
def serving(server: str, logs: Path, results: Results, flags: Sequence[str] = ()) -> Iterator[Endpoint]:
    """Run one of the three servers. `flags` are for vLLM. Raises `RuntimeError` if the server does not become ready."""
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{server}.log"
    if server in (PLAIN, TUNED):
        with vllm_serve(log, *flags) as endpoint:
            yield endpoint
    else:
        wanted = {"ttft_budget_s": results.bounds.ttft_s, "tpot_bound_s": results.bounds.tpot_s}
        bounds = {name: str(value) for name, value in wanted.items() if name in Settings.model_fields}
        keys = ",".join(f"{tenant}={key}" for tenant, key in _KEYS.items())
        # One prefix cache for all tenants, as in vLLM. Only the flood needs tenants.
        with firstword_serve(log, api_keys=keys, cache_isolation="off", **bounds) as endpoint:
            yield replace(endpoint, key=_KEYS["bench"])


async def _say_first_words(endpoint: Endpoint, workload: Workload) -> None:
    for body in workload.first_words():
        await ask(endpoint, {"model": endpoint.model, **body}, Answer())


async def _until_idle(endpoint: Endpoint) -> None:
    """Wait until a turn of one token is answered quickly, so that no work of the last cell is left.

    Raises `RuntimeError` if that does not happen within `IDLE_WITHIN_S`.
    """
    body = {"model": endpoint.model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1, "stream": True}
    deadline = time.monotonic() + IDLE_WITHIN_S
    while time.monotonic() < deadline:
        await asyncio.sleep(1)
        answer = Answer()
        await ask(endpoint, body, answer)
        if answer.outcome == "finished" and answer.first_at is not None and answer.first_at - answer.sent_at < 0.5:
            return
    raise RuntimeError(f"The server did not become idle within {IDLE_WITHIN_S:g} s after a cell.")
