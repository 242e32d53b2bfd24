"""The order of a run: round by round; within a round, engine by engine; on each engine, one server after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from loadtest.bench.cost import Meter, measure_cost, peak_bytes
from loadtest.bench.engines import LONG, REAL, TINY, serving
from loadtest.bench.large import BESIDE, MONSTER, PROMPT, SCHEMA, large_body, measure_large
from loadtest.bench.results import (
    ADAPTIVE,
    COST,
    LARGE,
    MEMORY,
    OURS,
    PEER,
    RUST,
    SERVED,
    START,
    TOKEN,
    TOOLS,
    Cell,
    Figures,
    Results,
)
from loadtest.bench.served import bench_serve, first_turn_s, prompts_for
from loadtest.servers import Endpoint

TOKENS_PER_TURN = 128
ENGINES = {TINY: (COST,), LONG: (LARGE,), REAL: (START, SERVED, MEMORY)}
"""The parts measured on each engine, in this order."""
MODES = {OURS: (TOKEN, ADAPTIVE, TOOLS), PEER: (TOKEN, TOOLS), RUST: (TOKEN, TOOLS)}
LARGE_KINDS = (PROMPT, SCHEMA, MONSTER)

_TOOL = {
    "type": "function",
    "function": {
        "name": "get_balance",
        "description": "The balance of an account.",
        "parameters": {"type": "object", "properties": {"account": {"type": "string"}}, "required": ["account"]},
    },
}
_EACH_TOKEN = {"x-firstword-frames": "token"}
_SAID = [{"role": "user", "content": "Tell me about the weather."}]
_BODY = {"messages": _SAID, "max_tokens": TOKENS_PER_TURN, "ignore_eos": True, "temperature": 0}


@dataclass(frozen=True)
class Plan:
    """What to measure. Times are in seconds."""

    parts: Sequence[str]
    rounds: int
    streams: Sequence[int]
    """Numbers of concurrent streams of `cost`."""
    real_streams: Sequence[int]
    """Numbers of concurrent streams of `served`."""
    seconds: float
    """Duration of a cell of `cost`, and of the quiet time before a large request."""
    warm_up_s: float
    served_s: float
    repeats: int
    """Number of large requests in a cell."""
    rust_frontend: Path | None = None
    """Binary of the third server. None: only two servers are measured."""

    @property
    def servers(self) -> tuple[str, ...]:
        return (OURS, PEER, RUST) if self.rust_frontend else (OURS, PEER)

    def order(self, number: int) -> tuple[str, ...]:
        """The servers of a round, in order. Rounds count from 1.

        Each server is first in some round, so that a machine that gets slower over time affects all servers equally.
        """
        first = (number - 1) % len(self.servers)
        return self.servers[first:] + self.servers[:first]

    @property
    def cells(self) -> int:
        """Number of cells that the plan measures."""
        return self.rounds * sum(self._cells(part, server) for part in self.parts for server in self.servers)

    def places(self, part: str) -> Sequence[int]:
        """Numbers of concurrent streams of a part."""
        return {COST: self.streams, SERVED: self.real_streams, LARGE: (BESIDE,)}.get(part, (0,))

    def _cells(self, part: str, server: str) -> int:
        kinds = {COST: len(MODES[server]), LARGE: len(LARGE_KINDS)}.get(part, 1)
        return kinds * len(self.places(part))


class Bench:
    """Measures into `results`. It calls `on_cell` after each cell, and `say` with its current work."""

    def __init__(self, plan: Plan, results: Results, logs: Path, *, on_cell: Callable[[Cell], None],
                 say: Callable[[str], None]) -> None:  # fmt: skip
        self._plan, self._results, self._logs = plan, results, logs
        self._on_cell, self._say = on_cell, say
        self._measure = {COST: self._cost, LARGE: self._large, START: self._start, SERVED: self._served, MEMORY: self._memory}

    def run(self) -> None:
        """Measure everything in the plan."""
        for part in self._plan.parts:
            self._results.forget(part, self._plan.places(part))
        for number in range(1, self._plan.rounds + 1):
            for engine, measured in ENGINES.items():
                if parts := [part for part in measured if part in self._plan.parts]:
                    for server in self._plan.order(number):
                        self._on(server, engine, parts, number)

    def _on(self, server: str, engine: str, parts: Sequence[str], number: int) -> None:
        self._say(f"round {number}, {server}: starting on the {engine} engine")
        with serving(server, engine, self._logs, self._plan.rust_frontend) as endpoint:
            for part in parts:
                for mode, streams, figures in self._measure[part](server, endpoint, number):
                    cell = Cell(part, server, mode, streams, number, figures)
                    self._results.put(cell)
                    self._on_cell(cell)

    def _cost(self, server: str, endpoint: Endpoint, number: int) -> "Measured":
        meter = Meter.of(endpoint)
        for mode in MODES[server]:
            body, headers = request(server, mode)
            for streams in self._plan.streams:
                self._say(f"round {number}, {server}: {mode}, {streams} streams")
                yield mode, streams, measure_cost(meter, body, streams=streams, seconds=self._plan.seconds,
                                                  warm_up_s=self._plan.warm_up_s, headers=headers)  # fmt: skip

    def _large(self, server: str, endpoint: Endpoint, number: int) -> "Measured":
        body, headers = request(server, TOKEN)
        for kind in LARGE_KINDS:
            self._say(f"round {number}, {server}: {kind} with {BESIDE} streams")
            large = [large_body(kind, f"{number}x{repeat}") for repeat in range(self._plan.repeats)]
            measured = measure_large(endpoint, body, large, streams=BESIDE, quiet_s=self._plan.seconds, headers=headers)
            yield kind, BESIDE, uvloop.run(measured)

    def _start(self, server: str, endpoint: Endpoint, number: int) -> "Measured":
        yield "", 0, {"first_turn_s": first_turn_s(endpoint)}

    def _served(self, server: str, endpoint: Endpoint, number: int) -> "Measured":
        for streams in self._plan.real_streams:
            self._say(f"round {number}, {server}: vllm bench serve, {streams} at a time")
            prompts = prompts_for(streams, self._plan.served_s)
            yield "", streams, bench_serve(endpoint, streams=streams, prompts=prompts, seed=1000 * number + streams)

    def _memory(self, server: str, endpoint: Endpoint, number: int) -> "Measured":
        yield "", 0, {"peak_bytes": float(peak_bytes(Meter.of(endpoint).processes))}


Measured = Iterator[tuple[str, int, Figures]]
"""Tuples of mode, number of streams, measured figures."""


def request(server: str, mode: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Body and headers of a turn. The header is for our server only: the others always send one frame per token."""
    body = _BODY | ({"tools": [_TOOL], "tool_choice": "auto"} if mode == TOOLS else {})
    return body, _EACH_TOKEN if server == OURS and mode != ADAPTIVE else {}
