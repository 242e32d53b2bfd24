"""The order of a whole run, without its servers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loadtest.overload import run as run_module
from loadtest.overload.bench import Plan
from loadtest.overload.results import FLOOD, OURS, PLAIN, TUNED, Results
from loadtest.overload.run import Run
from loadtest.overload.tuning import Held
from loadtest.servers import Endpoint


class FakeBench:
    """Tells what it was asked for, and of which server."""

    def __init__(self, reported: list[tuple[Any, ...]], *, knows_capacity: bool) -> None:
        self.reported, self.knows_capacity = reported, knows_capacity

    def needs_capacity(self) -> list[str]:
        return [] if self.knows_capacity else ["uniform"]

    async def find_capacity(self, endpoint: Endpoint) -> None:
        self.reported.append(("capacity", endpoint.model))
        self.knows_capacity = True

    async def goodput(self, endpoint: Endpoint, name: str, load: float) -> float:
        bound = int(endpoint.model.rsplit(maxsplit=1)[1])
        return -abs(bound - {"uniform": 24, "voice": 12}[name])

    async def run(self, server: str, endpoint: Endpoint, names: Sequence[str]) -> None:
        self.reported.append((server, endpoint.model, list(names)))


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    @contextmanager
    def serving(server: str, _logs: Path, _results: Results, flags: Sequence[str] = ()) -> Iterator[Endpoint]:
        yield Endpoint("", 0, " ".join((server, *flags)))

    monkeypatch.setattr(run_module, "serving", serving)
    return []


def a_run(
    reported: list[tuple[Any, ...]], file: Path, servers: Sequence[str], *, knows_capacity: bool, tuned: Held | None
) -> Results:
    plan = Plan(servers, ["uniform", "voice", FLOOD], [1.0], duration_s=1, seed=1)
    results = Results()
    bench: Any = FakeBench(reported, knows_capacity=knows_capacity)
    Run(bench, plan, results, file, lambda _: None, tuned).all()
    return results


def test_capacity_is_measured_first_on_plain_vllm(reported: list[tuple[Any, ...]], tmp_path: Path) -> None:
    a_run(reported, tmp_path / "r.json", [OURS], knows_capacity=False, tuned=None)
    assert reported == [("capacity", PLAIN), (OURS, OURS, ["uniform", "voice", FLOOD])]


def test_the_best_bound_of_each_workload_is_looked_for_and_told(reported: list[tuple[Any, ...]], tmp_path: Path) -> None:
    results = a_run(reported, tmp_path / "r.json", [TUNED, OURS], knows_capacity=True, tuned=None)
    flags = {"uniform": "--max-num-seqs 24 --max-num-queued-reqs 24", "voice": "--max-num-seqs 12 --max-num-queued-reqs 12"}
    assert reported[:2] == [(TUNED, f"{TUNED} {flags[name]}", [name]) for name in ("uniform", "voice")]
    assert [results.about[f"{TUNED}, {name}"] for name in flags] == list(flags.values())
    assert "16: -8.00/s, 24: 0.00/s, 32: -8.00/s" in results.about[f"Tried on {TUNED}, uniform at 2×"]


def test_bounds_that_are_given_are_taken(reported: list[tuple[Any, ...]], tmp_path: Path) -> None:
    results = a_run(reported, tmp_path / "r.json", [TUNED], knows_capacity=True, tuned=Held(6, 8))
    assert [server for _, server, _ in reported] == [f"{TUNED} --max-num-seqs 6 --max-num-queued-reqs 8"] * 2
    assert not any(name.startswith("Tried") for name in results.about)
