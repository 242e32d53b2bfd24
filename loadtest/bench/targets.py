"""Targets for the cost of our layer compared with vLLM's own server, and whether the results meet them."""

from collections.abc import Iterator
from dataclasses import dataclass

from loadtest.bench.results import ADAPTIVE, COST, MEMORY, OURS, SERVED, START, TOKEN, TOOLS, Results, Spread

NOISE = 0.05
"""Relative difference between two runs of the same server on the real model."""
MOST_CPU = {(TOKEN, 8): 0.9, (TOKEN, 64): 0.8, (ADAPTIVE, 64): 0.6, (TOOLS, 64): 0.8}
LONGEST_GAP_MS = 60.0
REAL_STREAMS = (1, 8, 32)
LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Verdict:
    """A target and the measured value."""

    target: str
    wanted: float
    spread: Spread | None
    """Measured values over the rounds. The median counts. None: the results do not contain it."""
    is_upper_bound: bool = True
    noise: float = 0.0
    """Relative noise of the value. A target missed by less counts as within noise."""

    @property
    def measured(self) -> float | None:
        return None if self.spread is None else self.spread.median

    @property
    def is_of_enough_rounds(self) -> bool:
        """Whether there are enough rounds for a meaningful median."""
        return self.spread is not None and self.spread.rounds >= LEAST_ROUNDS

    @property
    def is_met(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured <= self.wanted if self.is_upper_bound else self.measured >= self.wanted

    @property
    def is_within_noise(self) -> bool:
        """Whether the target is met, or missed by no more than the noise."""
        if self.measured is None:
            return False
        return abs(self.measured - self.wanted) <= self.noise * self.wanted or self.is_met is True


def verdicts(results: Results) -> Iterator[Verdict]:
    """Yield every target. All except the gap are ratios, ours / theirs."""
    for (mode, streams), most in MOST_CPU.items():
        yield Verdict(f"CPU time per token, {reported(mode)}, {streams} streams", most,
                      results.ratio(COST, mode, streams, "cpu_us_per_token"))  # fmt: skip
    gap_ms = results.spread(COST, OURS, ADAPTIVE, 64, "gap_p99_ms")
    yield Verdict("gap between adaptive frames, p99, ms, 64 streams", LONGEST_GAP_MS, gap_ms)
    for streams in REAL_STREAMS:
        ttft = results.ratio(SERVED, "", streams, "ttft_p50_ms")
        yield Verdict(f"TTFT, real model, {_of(streams)}", 1.0, ttft, noise=NOISE)
    for streams in REAL_STREAMS:
        rate = results.ratio(SERVED, "", streams, "tokens_per_s")
        yield Verdict(f"tokens/s, real model, {_of(streams)}", 1.0, rate, is_upper_bound=False, noise=NOISE)
    yield Verdict("peak memory", 1.0, results.ratio(MEMORY, "", 0, "peak_bytes"))
    yield Verdict("start to first answered turn", 1.0, results.ratio(START, "", 0, "first_turn_s"))


def reported(mode: str) -> str:
    """Description of a mode."""
    return {TOKEN: "one frame per token", ADAPTIVE: "adaptive frames", TOOLS: "with tools"}.get(mode, mode)


def _of(streams: int) -> str:
    return "1 stream" if streams == 1 else f"{streams} streams"
