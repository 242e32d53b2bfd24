"""The knee of a ramp: the highest load at which the thresholds still held.

The rule is cautious. A step holds if it has enough turns and meets the thresholds in `OF_A_STEP`. The knee is the last step that
held before the first that broke, even if a later one held. It is then lowered until all turns up to it together meet every
threshold, including 99th percentiles and spoiled calls. Its load is the measured load, not the planned one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from loadtest.report.figures import OF_A_STEP, Figures, figures_of, rows
from loadtest.report.reading import Reading, Span
from loadtest.report.thresholds import Thresholds


@dataclass(frozen=True)
class Step:
    span: Span
    calls_at_once: float | None
    """Mean over the step. None: not known."""
    calls_per_s: float | None
    """Arrival rate that sustains this step's turns. If calls arrive faster, the number of calls at once is still growing."""
    turns_per_s: float
    """Turns sent per second."""
    on_time_per_s: float
    figures: Figures
    state: Literal["held", "broke", "too few turns"]
    broken: list[str]
    """Names of the thresholds that the step missed."""


@dataclass(frozen=True)
class Knee:
    """The steps of a ramp and its knee."""

    steps: list[Step]
    at: Step | None
    """Step of the knee. None: the thresholds held at no load."""
    broke_at: Step | None
    """First step above the knee. None: the knee was not reached, and the endpoint carries more than was tested."""


def find(reading: Reading, wanted: Thresholds) -> Knee:
    steps = [step_of(reading, span, wanted) for span in reading.steps]
    broke_at = next((step for step in steps if step.state == "broke"), None)
    before = steps[: steps.index(broke_at)] if broke_at else steps
    last_enough = next((place for place in range(len(before), 0, -1) if _hold_together(reading, before[:place], wanted)), 0)
    if broke_at is None and any(step.state == "held" for step in before[last_enough:]):
        broke_at = next(step for step in before[last_enough:] if step.state == "held")
    return Knee(steps, before[last_enough - 1] if last_enough else None, broke_at)


def _hold_together(reading: Reading, steps: Sequence[Step], wanted: Thresholds) -> bool:
    """Whether the last step held, and all turns up to its end together meet every threshold."""
    if steps[-1].state != "held":
        return False
    return all(row.is_met for row in rows(figures_of(reading, [step.span for step in steps]), wanted))


def step_of(reading: Reading, span: Span, wanted: Thresholds) -> Step:
    figures = figures_of(reading, [span])
    broken = [row.threshold for row in rows(figures, wanted, OF_A_STEP) if not row.is_met]
    is_enough = figures.turns >= wanted.step_turns_min
    turns_per_s = sum(figures.counts.values()) * reading.weight / span.length_s
    return Step(
        span=span,
        calls_at_once=reading.mean_calls_at_once(span),
        calls_per_s=_calls_per_s(reading, span, turns_per_s),
        turns_per_s=turns_per_s,
        on_time_per_s=figures.counts.get("on_time", 0) * reading.weight / span.length_s,
        figures=figures,
        state="too few turns" if not is_enough else "broke" if broken else "held",
        broken=broken if is_enough else [],
    )


def _calls_per_s(reading: Reading, span: Span, turns_per_s: float) -> float | None:
    """The lower of two rates: calls due per second, and turns per second divided by the mean turns of a call."""
    if not reading.calls:
        return None
    due = sum(call.due_s >= span.begin_s and call.due_s < span.end_s for call in reading.calls)
    due_per_s = due * reading.calls_seen / len(reading.calls) / span.length_s
    return min(due_per_s, turns_per_s / fmean(call.turns for call in reading.calls))
