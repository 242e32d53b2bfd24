"""When calls arrive: an inhomogeneous Poisson process, seeded. Nothing here knows of a server, so none can slow it down."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A rate, in calls a second, from `begin_s` to `end_s` of the run."""

    begin_s: float
    end_s: float
    rate: float


def stages(profile: Sequence[float], rate: float, run_s: float) -> list[Stage]:
    """The profile, laid over the run."""
    edges = [run_s * number / len(profile) for number in range(len(profile) + 1)]
    return [Stage(begin, end, multiple * rate) for multiple, (begin, end) in zip(profile, itertools.pairwise(edges), strict=True)]


def arrivals(of: Sequence[Stage], seed: str) -> Iterator[float]:
    """Seconds from the start of the run, in order, until the last stage is over.

    A standard process (gaps of mean 1) is drawn from the seed and stretched over the stages: what a higher rate changes is how
    close the same gaps lie.
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
    """The part of one of several workers: every so-manieth call, and as much of the cap. Together they are the whole."""

    index: int
    workers: int

    def takes(self, number: int) -> bool:
        return number % self.workers == self.index

    def of_cap(self, cap: int) -> int:
        return cap // self.workers + (self.index < cap % self.workers)
