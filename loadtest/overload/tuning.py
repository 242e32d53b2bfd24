"""Search for vLLM's best setting: the bound on turns with the highest goodput on this machine."""

from collections.abc import Callable
from dataclasses import dataclass

BOUNDS = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_FIRST = 16
TUNED_AT = 2.0
"""Load, as a multiple of capacity, at which the bound is tuned."""


@dataclass(frozen=True)
class Held:
    """The most turns that vLLM runs at a time, and the most that it holds in total. It refuses more."""

    running: int
    at_all: int

    @property
    def flags(self) -> list[str]:
        return ["--max-num-seqs", str(self.running), "--max-num-queued-reqs", str(self.at_all)]


def climb(goodput: Callable[[int], float]) -> dict[int, float]:
    """Hill-climb over `BOUNDS`. Returns the goodput of each bound that was tried.

    Start in the middle and move to the better neighbour until neither is better. Move down also if the lower bound is equally
    good: with much too high bounds goodput is 0 everywhere. The bound applies to running and to waiting turns, because turns that
    wait behind running ones are late, or are refused late.
    """
    tried: dict[int, float] = {}

    def of(place: int) -> float:
        bound = BOUNDS[place]
        if bound not in tried:
            tried[bound] = goodput(bound)
        return tried[bound]

    place = BOUNDS.index(_FIRST)
    while True:
        here = of(place)
        if place + 1 < len(BOUNDS) and of(place + 1) > here:
            place += 1
        elif place > 0 and of(place - 1) >= here:
            place -= 1
        else:
            return tried


def best_of(tried: dict[int, float]) -> Held:
    """The bound with the highest goodput; of equals, the lowest bound."""
    best = min(tried, key=lambda bound: (-tried[bound], bound))
    return Held(best, best)
