"""vLLM at its best setting: the bound with which it does best on this machine, as a patient operator would find it."""

from collections.abc import Callable
from dataclasses import dataclass

BOUNDS = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_FIRST = 16
TUNED_AT = 2.0
"""Times capacity: the load at which the bound is to be best."""


@dataclass(frozen=True)
class Held:
    """What vLLM runs at a time, and what it holds at all: any more it refuses."""

    running: int
    at_all: int

    @property
    def flags(self) -> list[str]:
        return ["--max-num-seqs", str(self.running), "--max-num-queued-reqs", str(self.at_all)]


def climb(goodput: Callable[[int], float]) -> dict[int, float]:
    """The goodput of each bound that was tried: from one in the middle to the better neighbour, until neither is better; to the
    lesser one also where it is as good, for with far too many there is no goodput at all, nor with somewhat fewer.

    Turns that wait behind those that run come late or are refused late, so a bound is on both.
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
    """The one with the most; of equals, the least bound."""
    best = min(tried, key=lambda bound: (-tried[bound], bound))
    return Held(best, best)
