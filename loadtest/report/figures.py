"""The measures of any part of a run."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.calls.summary import percentiles
from loadtest.report import exact
from loadtest.report.reading import Reading, Span, Turn
from loadtest.report.thresholds import Thresholds

COUNTED = ("on_time", "late", "refused", "failed")
"""Standings in the denominator of goodput. It excludes `limited` (the tenant's own limit) and `cut` (the result is unknown)."""


@dataclass(frozen=True)
class Figures:
    """The measures of a part of a run. None: there was nothing to measure. Times are measured over the record's rows."""

    turns: int
    """All turns that ended within the run. The shares refer to them."""
    counts: dict[str, int]
    """Rows of the record by standing. If the rows are a sample, each stands for `Reading.weight` turns."""
    goodput_share: float | None
    failed_share: float | None
    refused_share: float | None
    spoiled_calls_share: float | None
    calls: dict[str, int]
    ttft_s: dict[str, float]
    first_sentence_s: dict[str, float]
    tpot_s: dict[str, float]


def figures_of(reading: Reading, spans: Sequence[Span], tenant: str | None = None) -> Figures:
    """Measure the turns sent in these parts of the run. `tenant` None: all tenants."""

    def is_in(of: str, at_s: float) -> bool:
        return tenant in (None, of) and any(span.holds(at_s) for span in spans)

    turns = [turn for turn in reading.turns if is_in(turn.tenant, turn.sent_s)]
    # A sample of turns is not enough to reconstruct the calls.
    calls = exact.outcomes(reading, spans, tenant) if reading.is_sample else calls_of(turns)
    return measured(turns, exact.standings(reading, spans, tenant), calls)


def measured(turns: Sequence[Turn], counts: Counter[str], calls: Counter[str]) -> Figures:
    """Compute the measures. `turns`: turns with a kept row; `counts`: all turns by standing."""
    ended = counts.total() - counts["cut"]
    return Figures(
        turns=ended,
        counts=dict(Counter(turn.standing for turn in turns)),
        goodput_share=share(counts["on_time"], sum(counts[name] for name in COUNTED)),
        failed_share=share(counts["failed"], ended),
        refused_share=share(counts["refused"] + counts["limited"], ended),
        spoiled_calls_share=share(calls["spoiled"], calls["spoiled"] + calls["good"]),
        calls=dict(calls),
        ttft_s=_times(turns, lambda turn: turn.ttft_s),
        first_sentence_s=_times(turns, lambda turn: turn.first_sentence_s),
        tpot_s=_times(turns, lambda turn: turn.tpot_s),
    )


def calls_of(turns: Sequence[Turn]) -> Counter[str]:
    """Outcomes of the calls, judged by these turns alone. Later turns, under another load, do not count."""
    standings: dict[int, list[Turn]] = {}
    for turn in turns:
        standings.setdefault(turn.call, []).append(turn)
    return Counter(_call(own) for own in standings.values())


def _call(own: Sequence[Turn]) -> str:
    if any(turn.position == 0 and turn.standing in ("refused", "limited") for turn in own):
        return "lost"
    if all(turn.standing == "cut" for turn in own):
        return "cut"
    return "good" if all(turn.standing in ("on_time", "cut") for turn in own) else "spoiled"


def share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _times(turns: Sequence[Turn], of: Callable[[Turn], float | None]) -> dict[str, float]:
    return percentiles([value for turn in turns if (value := of(turn)) is not None])


@dataclass(frozen=True)
class Row:
    """One threshold and the measured value."""

    threshold: str
    """Name of the threshold in the YAML file."""
    about: str
    unit: str
    """Unit of both values: `share`, `s`, `calls` or `turns`."""
    wanted: float
    measured: float | None
    is_met: bool


_MEASURES: dict[str, Callable[[Figures], float | None]] = {
    "goodput_share_min": lambda of: of.goodput_share,
    "ttft_p50_s_max": lambda of: of.ttft_s.get("p50"),
    "ttft_p95_s_max": lambda of: of.ttft_s.get("p95"),
    "ttft_p99_s_max": lambda of: of.ttft_s.get("p99"),
    "first_sentence_p95_s_max": lambda of: of.first_sentence_s.get("p95"),
    "tpot_p99_s_max": lambda of: of.tpot_s.get("p99"),
    "spoiled_calls_share_max": lambda of: of.spoiled_calls_share,
    "failed_share_max": lambda of: of.failed_share,
    "refused_share_max": lambda of: of.refused_share,
}
OF_A_STEP = (
    "goodput_share_min",
    "ttft_p50_s_max",
    "ttft_p95_s_max",
    "first_sentence_p95_s_max",
    "failed_share_max",
    "refused_share_max",
)
"""Thresholds that one step of a ramp can be judged by. A 99th percentile needs 100 turns, and a call is longer than a step."""


def rows(of: Figures, wanted: Thresholds, names: Sequence[str] = tuple(_MEASURES)) -> list[Row]:
    limits = {name: limit for name in names if (limit := getattr(wanted, name)) is not None}
    return [row(name, limit, _MEASURES[name](of)) for name, limit in limits.items()]


def row(name: str, limit: float, value: float | None) -> Row:
    """Compare a value with its threshold. A value of None does not meet it: otherwise a run without answers would pass."""
    about: Any = Thresholds.model_fields[name].description
    unit = next((unit for part, unit in {"_share_": "share", "_s_": "s", "turns_": "turns"}.items() if part in name), "calls")
    is_met = value is not None and (value >= limit if name.endswith("_min") else value <= limit)
    return Row(name, about, unit, limit, value, is_met)
