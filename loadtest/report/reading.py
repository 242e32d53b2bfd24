"""The record of a run, typed: turns, calls, and the load at each second."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import orjson

from loadtest.calls import record, summary
from loadtest.calls.scenarios import QUIET
from loadtest.report import layout
from loadtest.report.layout import WrongRecord


@dataclass(frozen=True)
class Turn:
    """A row of the record (loadtest/calls/rows.py has the meaning of its columns), and how it counts."""

    call: int
    tenant: str
    agent: str
    position: int
    sent_s: float
    outcome: str
    standing: str
    """How the turn counts: on_time, late, refused (for capacity), limited (429: over the tenant's own limit), failed or cut.

    cut: the run ended before the turn's result was known.
    """
    ttft_s: float | None
    first_sentence_s: float | None
    duration_s: float | None
    tpot_s: float | None
    itl_max_s: float | None
    completion_tokens: int
    reason: str


@dataclass(frozen=True)
class Call:
    number: int
    tenant: str
    due_s: float
    outcome: str
    turns: int


@dataclass(frozen=True)
class Span:
    """A part of a run, in seconds from its start. `rate`: planned arrivals in calls per second."""

    begin_s: float
    end_s: float
    rate: float = 0.0

    @property
    def length_s(self) -> float:
        return self.end_s - self.begin_s

    def holds(self, at_s: float) -> bool:
        return self.begin_s <= at_s < self.end_s


@dataclass(frozen=True)
class Reading:
    """A record. `raw` is the file's content; derived values are computed once."""

    raw: dict[str, Any]

    @property
    def scenario(self) -> str:
        return str(self.raw["scenario"])

    @property
    def run_s(self) -> float:
        return float(self.raw["run_s"])

    @property
    def ttft_budget_s(self) -> float:
        return float(self.raw["settings"]["ttft_budget_s"])

    @cached_property
    def turns(self) -> list[Turn]:
        return [_turn(row, self.ttft_budget_s) for row in layout.rows_of(self.raw["turns"], "turns")]

    @cached_property
    def calls(self) -> list[Call]:
        rows = layout.rows_of(self.raw["calls"], "calls")
        return [Call(row["call"], row["tenant"], row["due_s"], row["outcome"], row["turns"]) for row in rows]

    @property
    def turns_seen(self) -> int:
        return int(self.raw["turns"]["seen"])

    @property
    def calls_seen(self) -> int:
        return int(self.raw["calls"]["seen"])

    @property
    def weight(self) -> float:
        """Number of turns that each row stands for. It is above 1 if the rows are a sample."""
        return self.turns_seen / len(self.turns) if self.turns else 1.0

    @property
    def is_sample(self) -> bool:
        return self.turns_seen > len(self.turns)

    @cached_property
    def steps(self) -> list[Span]:
        """The planned stages of the quiet tenant, up to the end of the run."""
        planned = self.raw["schedule"]["stages"].get(QUIET, [])
        begun = [stage for stage in planned if stage["begin_s"] < self.run_s]
        return [Span(stage["begin_s"], min(stage["end_s"], self.run_s), stage["rate"]) for stage in begun]

    @cached_property
    def calls_at_once(self) -> dict[int, int]:
        """Calls at once in each second, over all processes of the client."""
        found: Counter[int] = Counter()
        for watch in self.raw["client"].values():
            found.update(_in_each_second(watch["in_progress"]))
        # End at the last measurement of any process.
        seen = {int(at_s) for watch in self.raw["client"].values() for at_s, _ in watch["in_progress"]}
        return {second: found[second] for second in range(min(seen), max(seen) + 1)} if seen else {}

    def mean_calls_at_once(self, span: Span) -> float | None:
        found = [calls for second, calls in self.calls_at_once.items() if span.holds(second)]
        return fmean(found) if found else None

    def bins(self, most: int = 60) -> list[Span]:
        """Divide the run into at most `most` equal parts of whole seconds, each of 5 s or more."""
        whole_s = math.ceil(self.run_s)
        length_s = max(5, math.ceil(whole_s / most))
        return [Span(float(begin), float(begin + length_s)) for begin in range(0, whole_s, length_s)]


def read(path: Path) -> Reading:
    """Read a record. Raises `WrongRecord` if the file cannot be used."""
    try:
        raw = record.read(path)
        layout.check(raw)
    except OSError as error:
        raise WrongRecord(f"{path} cannot be read: {error.strerror}.") from None
    except orjson.JSONDecodeError:
        raise WrongRecord(f"{path} is not valid JSON. Give a file that `locust … --record FILE` wrote.") from None
    except ValueError as error:
        raise WrongRecord(str(error)) from None
    except WrongRecord as problem:
        raise WrongRecord(f"{path} is a damaged record: {problem}") from None
    return Reading(raw)


def _in_each_second(looks: Sequence[tuple[float, int]]) -> dict[int, int]:
    """Calls of one process in each second. The process measures slightly less often than once a second.

    A second without a measurement repeats the previous value. Without this, the sum over several processes would miss the calls
    of this one. The last value holds for one more second.
    """
    found: dict[int, int] = {}
    for (at_s, calls), (next_s, _) in pairwise([*looks, (looks[-1][0] + 2, 0)] if looks else []):
        found |= dict.fromkeys(range(int(at_s), max(int(at_s) + 1, int(next_s))), calls)
    return found


def _turn(row: dict[str, Any], ttft_budget_s: float) -> Turn:
    standing = summary.standing_of(row, ttft_budget_s)
    # Our service answers 429 to a tenant over its own limit. That is not a lack of capacity, so goodput does not count it.
    if standing == "refused" and str(row["reason"]).startswith("429"):
        standing = "limited"
    same = ("call", "tenant", "agent", "position", "outcome", "ttft_s", "first_sentence_s", "duration_s", "tpot_s", "itl_max_s")
    reported = {name: row[name] for name in (*same, "completion_tokens")}
    return Turn(sent_s=row["due_s"] + row["late_s"], standing=standing, reason=row["reason"] or "", **reported)
