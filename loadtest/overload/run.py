"""A whole run: one server at a time. The tuned vLLM server gets the best setting for each workload."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from loadtest.overload.bench import Bench, Plan, serving
from loadtest.overload.results import PLAIN, TUNED, Results
from loadtest.overload.tuning import TUNED_AT, Held, best_of, climb
from loadtest.servers import Endpoint


@dataclass(frozen=True)
class Run:
    """Starts the servers of the plan, and lets the benchmark measure each."""

    bench: Bench
    plan: Plan
    results: Results
    file: Path
    """Results file, written after each cell. The servers' logs go into a folder beside it."""
    say: Callable[[str], None]
    tuned: Held | None
    """Setting of the tuned server. None: search for the best."""

    def all(self) -> None:
        # Plain vLLM refuses nothing, so capacity is measured on it.
        first = [PLAIN] if self.bench.needs_capacity() else []
        for server in dict.fromkeys([*first, *self.plan.servers]):
            if server == TUNED:
                self._tuned()
            else:
                self._one(server)

    def _one(self, server: str) -> None:
        with self._served(server) as (runner, endpoint):
            if self.bench.needs_capacity():
                runner.run(self.bench.find_capacity(endpoint))
                self.results.write(self.file)
            if server in self.plan.servers:
                runner.run(self.bench.run(server, endpoint, self.plan.workloads))

    def _tuned(self) -> None:
        for name in self.plan.kinds:
            self.results.about.pop(_tried(name), None)
            held = self.tuned or self._best(name)
            self.results.about[f"{TUNED}, {name}"] = " ".join(held.flags)
            with self._served(TUNED, held) as (runner, endpoint):
                runner.run(self.bench.run(TUNED, endpoint, [name]))

    def _best(self, name: str) -> Held:
        def goodput(bound: int) -> float:
            with self._served(TUNED, Held(bound, bound)) as (runner, endpoint):
                self.say(f"{TUNED}: {name}, at most {bound} turns")
                return runner.run(self.bench.goodput(endpoint, name, TUNED_AT))

        tried = climb(goodput)
        reported = ", ".join(f"{bound}: {tried[bound]:.2f}/s" for bound in sorted(tried))
        self.results.about[_tried(name)] = f"goodput by the bound on turns: {reported}"
        return best_of(tried)

    @contextmanager
    def _served(self, server: str, held: Held | None = None) -> Iterator[tuple[asyncio.Runner, Endpoint]]:
        self.say(f"{server}: starting")
        logs = self.file.with_name(f"{self.file.stem}-logs")
        with (
            serving(server, logs, self.results, held.flags if held else ()) as endpoint,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            yield runner, endpoint


def _tried(name: str) -> str:
    return f"Tried on {TUNED}, {name} at {TUNED_AT:g}×"
