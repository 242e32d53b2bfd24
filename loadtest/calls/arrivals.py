"""Arrival times of calls: a seeded inhomogeneous Poisson process. It does not depend on the server, so no server can slow it."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """An arrival rate, in calls per second, from `begin_s` to `end_s` of the run."""

    begin_s: float
    end_s: float
    rate: float


def stages(profile: Sequence[float], rate: float, run_s: float) -> list[Stage]:
    """Divide the run into equal stages, one per entry of the profile."""
    edges = [run_s * number / len(profile) for number in range(len(profile) + 1)]
    return [Stage(begin, end, multiple * rate) for multiple, (begin, end) in zip(profile, itertools.pairwise(edges), strict=True)]


def arrivals(of: Sequence[Stage], seed: str) -> Iterator[float]:
    """Yield arrival times in order, in seconds from the start of the run, until the last stage ends.

    The seed determines a standard process (gaps of mean 1). The stages scale it: a higher rate makes the same gaps shorter.
    """
    chance = random.Random(seed)
    left = chance.expovariate(1.0)
    for stage in of:
        now = stage.begin_s
        while left < (held := (stage.end_s - now) * stage.rate):
            now += left / stage.rate
            yield now
            left = chance.expovariate(1.0)
        left -= held


@dataclass(frozen=True)
class Share:
    """One worker's share of the calls: every `workers`-th call, and its part of the cap. All shares together are the whole."""

    index: int
    workers: int

    def takes(self, number: int) -> bool:
        return number % self.workers == self.index

    def of_cap(self, cap: int) -> int:
        return cap // self.workers + (self.index < cap % self.workers)
