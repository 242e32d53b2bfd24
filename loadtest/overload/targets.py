"""The targets of the service under overload, and whether the results meet them."""

from collections.abc import Iterator
from dataclasses import dataclass

from loadtest.overload.results import FLOOD, OURS, PLAIN, TUNED, Results

OVERLOADS = (2.0, 4.0)
FLOOD_FACTOR = 10.0
LEAST_OF_OWN_BEST = 0.9
LEAST_OVER_PLAIN = {2.0: 6.0}
LEAST_OVER_TUNED = {2.0: 1.2, 4.0: 1.1}
LEAST_SHARE = 0.95
LONGEST_REFUSAL_S = 0.05


@dataclass(frozen=True)
class Verdict:
    """A target and the measured value."""

    target: str
    workload: str
    wanted: float
    measured: float | None
    """Measured value. None: the results do not contain it."""
    is_upper_bound: bool = False
    at_most: float | None = None
    """Value at full capacity with every turn on time, which is the highest possible. None: capacity sets no limit."""

    @property
    def is_met(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured <= self.wanted if self.is_upper_bound else self.measured >= self.wanted


def verdicts(results: Results) -> Iterator[Verdict]:
    """Yield every target, for each of its workloads."""
    for workload in ("uniform", "voice"):
        yield from _goodput(results, workload)
        yield from _admitted(results, workload)
    calls = results.of(OURS, "voice", 2.0)
    yield Verdict("admitted calls that finish unspoiled at 2×", "voice", LEAST_SHARE, calls.calls_finished if calls else None)
    fair = results.of(OURS, FLOOD, 1.0)
    yield Verdict(
        "turns within the TTFT bound at fair share beside a flood", FLOOD, LEAST_SHARE, fair.within_ttft if fair else None
    )
    ours = [cell.measures.refusal_p99 for cell in results.cells if cell.server == OURS]
    slowest = [refusal for refusal in ours if refusal is not None]
    yield Verdict("refusal p99, seconds, worst cell", "all", LONGEST_REFUSAL_S, max(slowest, default=None), is_upper_bound=True)


def _goodput(results: Results, workload: str) -> Iterator[Verdict]:
    best = max((cell.measures.goodput for cell in results.line(OURS, workload)), default=0.0)
    for load in OVERLOADS:
        ours = results.of(OURS, workload, load)
        yield Verdict(
            f"goodput at {load:g}× over our best", workload, LEAST_OF_OWN_BEST, _ratio(ours.goodput, best) if ours else None
        )
        for name, peer, least in (("vllm", PLAIN, LEAST_OVER_PLAIN), ("tuned vllm", TUNED, LEAST_OVER_TUNED)):
            if load in least:
                theirs = results.of(peer, workload, load)
                ratio = _ratio(ours.goodput, theirs.goodput) if ours and theirs else None
                at_most = _ratio(results.capacity[workload], theirs.goodput) if theirs and workload in results.capacity else None
                yield Verdict(f"goodput at {load:g}× over {name}'s", workload, least[load], ratio, at_most=at_most)


def _admitted(results: Results, workload: str) -> Iterator[Verdict]:
    for load in OVERLOADS:
        ours = results.of(OURS, workload, load)
        yield Verdict(
            f"admitted turns within both bounds at {load:g}×", workload, LEAST_SHARE, ours.admitted_within if ours else None
        )
    light = results.of(OURS, workload, 0.5)
    yield Verdict("turns refused at 0.5×", workload, 0, light.refused if light else None, is_upper_bound=True)


def _ratio(part: float, whole: float) -> float:
    """The ratio. x / 0 is infinite, and 0 / 0 is 0."""
    return part / whole if whole else float("inf") if part else 0.0
