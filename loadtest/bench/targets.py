"""What our layer may cost beside vLLM's own server, and whether these results show it."""

from collections.abc import Iterator
from dataclasses import dataclass

from loadtest.bench.results import ADAPTIVE, COST, MEMORY, OURS, SERVED, START, TOKEN, TOOLS, Results

NOISE = 0.05
"""By so much two runs of the same server on the real model differ."""
MOST_CPU = {(TOKEN, 8): 0.9, (TOKEN, 64): 0.70, (ADAPTIVE, 64): 0.45, (TOOLS, 64): 0.8}
LONGEST_GAP_MS = 60.0
REAL_STREAMS = (1, 8, 32)


@dataclass(frozen=True)
class Verdict:
    """A target beside what was measured."""

    target: str
    wanted: float
    measured: float | None
    """None: these results do not tell."""
    is_upper_bound: bool = True
    noise: float = 0.0
    """What is missed by no more than this part is not known to be missed."""

    @property
    def is_met(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured <= self.wanted if self.is_upper_bound else self.measured >= self.wanted

    @property
    def is_within_noise(self) -> bool:
        """Missed, if at all, by less than can be told."""
        if self.measured is None:
            return False
        return abs(self.measured - self.wanted) <= self.noise * self.wanted or self.is_met is True


def verdicts(results: Results) -> Iterator[Verdict]:
    """Every target. All but the gap are ratios, ours over theirs."""
    for (mode, streams), most in MOST_CPU.items():
        yield Verdict(f"processor time per token, {told(mode)}, {streams} streams", most,
                      _ratio(results, COST, mode, streams, "cpu_us_per_token"))  # fmt: skip
    gap_ms = results.median(COST, OURS, ADAPTIVE, 64, "gap_p99_ms")
    yield Verdict("gap between adaptive frames, p99, ms, 64 streams", LONGEST_GAP_MS, gap_ms)
    for streams in REAL_STREAMS:
        ttft = _ratio(results, SERVED, "", streams, "ttft_p50_ms")
        yield Verdict(f"TTFT, real model, {_of(streams)}", 1.0, ttft, noise=NOISE)
    for streams in REAL_STREAMS:
        rate = _ratio(results, SERVED, "", streams, "tokens_per_s")
        yield Verdict(f"tokens a second, real model, {_of(streams)}", 1.0, rate, is_upper_bound=False, noise=NOISE)
    yield Verdict("peak memory", 1.0, _ratio(results, MEMORY, "", 0, "peak_bytes"))
    yield Verdict("start to first answered turn", 1.0, _ratio(results, START, "", 0, "first_turn_s"))


def told(mode: str) -> str:
    """A mode in words."""
    return {TOKEN: "a frame a token", ADAPTIVE: "adaptive frames", TOOLS: "with tools"}.get(mode, mode)


def _of(streams: int) -> str:
    return "1 stream" if streams == 1 else f"{streams} streams"


def _ratio(results: Results, part: str, mode: str, streams: int, name: str) -> float | None:
    ratio = results.ratio(part, mode, streams, name)
    return ratio.median if ratio else None
