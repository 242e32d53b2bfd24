"""Go, no-go or invalid, and the part of the run that is judged.

ramp            all turns from the start to the required load (`calls_at_once_min`), or to the knee if none is required
spike           all turns except those of the spike and of `recovery_s_max` after it; and the time to recover
noisy-tenant    the quiet tenant's turns of the whole run
all others      all turns of the whole run
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from loadtest.calls.honesty import MEND
from loadtest.calls.scenarios import QUIET
from loadtest.report import knee
from loadtest.report.figures import Figures, Row, figures_of, row, rows
from loadtest.report.flags import LOCUST, Flags
from loadtest.report.knee import Knee
from loadtest.report.reading import Reading, Span
from loadtest.report.thresholds import Thresholds

Word = Literal["go", "no-go", "invalid"]
GO: Word = "go"
NO_GO: Word = "no-go"
INVALID: Word = "invalid"
EXIT_CODES = {GO: 0, NO_GO: 1, INVALID: 2}
_RECOVERY_WINDOW_S = 10


@dataclass(frozen=True)
class Verdict:
    word: Word
    why: list[str]
    """Reasons, as sentences."""
    judged: str
    """Description of the judged part of the run."""
    rows: list[Row]
    figures: Figures
    """Measures of the judged part."""
    knee: Knee
    """The steps of the scenario. `at` and `broke_at` are set only for a ramp."""

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.word]


@dataclass(frozen=True)
class _Part:
    """The judged part of a run."""

    about: str
    spans: list[Span]
    tenant: str | None = None
    more: list[Row] = field(default_factory=list)


def judge(reading: Reading, wanted: Thresholds, flags: Flags = LOCUST) -> Verdict:
    found = knee.find(reading, wanted) if reading.scenario == "ramp" else _steps_alone(reading, wanted)
    part = _part(reading, wanted, found)
    figures = figures_of(reading, part.spans, part.tenant)
    reported = [*part.more, *rows(figures, wanted)]
    doubts = _doubts(reading, wanted, found, figures, flags)
    failures = [_sentence(each) for each in reported if not each.is_met]
    if reading.scenario == "ramp" and found.at is None and found.broke_at is not None and not failures:
        # The good turns of earlier steps with too few turns can hide that the first step that counts broke.
        failures = ["No load held: the first step with enough turns missed a threshold."]
    if doubts:
        return Verdict(INVALID, doubts, part.about, reported, figures, found)
    return Verdict(
        NO_GO if failures else GO, failures or _good_news(reading, wanted, found), part.about, reported, figures, found
    )


def _steps_alone(reading: Reading, wanted: Thresholds) -> Knee:
    return Knee([knee.step_of(reading, span, wanted) for span in reading.steps], None, None)


def _part(reading: Reading, wanted: Thresholds, found: Knee) -> _Part:
    whole = [Span(0.0, math.inf)]
    if reading.scenario == "ramp" and found.steps:
        return _of_ramp(wanted, found)
    if reading.scenario == "spike" and len(reading.steps) > 1:
        return _of_spike(reading, wanted)
    if reading.scenario == "noisy-tenant":
        return _Part(f"the {QUIET} tenant's turns of the whole run", whole, QUIET)
    return _Part("the whole run", whole)


def _of_ramp(wanted: Thresholds, found: Knee) -> _Part:
    asked = wanted.calls_at_once_min
    if asked is not None:
        reached = next((step for step in found.steps if (step.calls_at_once or 0) >= asked), None)
        last = reached or found.steps[-1]
        about = f"from the start to the first step with {asked:g} calls at once" if reached else "the whole ramp"
        carried = found.at.calls_at_once if found.at else 0.0
        return _Part(about, [Span(0.0, last.span.end_s)], more=[row("calls_at_once_min", asked, carried)])
    if found.at:
        return _Part("from the start to the knee", [Span(0.0, found.at.span.end_s)])
    reported = next((step for step in found.steps if step.state != "too few turns"), found.steps[-1])
    return _Part("from the start to the first step with enough turns; no load held", [Span(0.0, reported.span.end_s)])


def _of_spike(reading: Reading, wanted: Thresholds) -> _Part:
    top = max(span.rate for span in reading.steps)
    spike = [span for span in reading.steps if span.rate == top]
    begin_s, end_s = spike[0].begin_s, spike[-1].end_s
    patience_s = wanted.recovery_s_max or 0.0
    more = [row("recovery_s_max", patience_s, recovery_s(reading, end_s, wanted))] if patience_s else []
    about = f"all except the spike and the {patience_s:g} s after it" if patience_s else "all except the spike"
    return _Part(about, [Span(0.0, begin_s), Span(end_s + patience_s, math.inf)], more=more)


def recovery_s(reading: Reading, from_s: float, wanted: Thresholds) -> float | None:
    """Seconds until goodput was sufficient again, over the next 10 s and over the rest of the run. None: it did not recover."""
    least = wanted.goodput_share_min or 0.0
    for passed_s in range(0, max(0, math.ceil(reading.run_s - from_s)), _RECOVERY_WINDOW_S):
        begin_s = from_s + passed_s
        spans = Span(begin_s, begin_s + _RECOVERY_WINDOW_S), Span(begin_s, math.inf)
        goodput = [figures_of(reading, [span]).goodput_share for span in spans]
        if all(share is not None and share >= least for share in goodput):
            return float(passed_s)
    return None


def _doubts(reading: Reading, wanted: Thresholds, found: Knee, figures: Figures, flags: Flags) -> list[str]:
    validity = reading.raw["validity"]
    reported = [
        doubt.removesuffix(f"; {MEND}") if flags.is_launch else doubt for doubt in validity["doubts"]
    ]  # It has none of these.
    doubts = [f"The load test was not valid: {doubt}." for doubt in reported]
    if not validity["is_valid"] and not doubts:
        doubts.append("The load test was not valid.")
    asked, loads = wanted.calls_at_once_min, [step.calls_at_once or 0.0 for step in found.steps]
    if reading.scenario == "ramp" and asked is not None and max(loads, default=0.0) < asked and not found.broke_at:
        reached = f"{max(loads, default=0.0):.1f} calls at once, but calls_at_once_min is {asked:g}"
        doubts.append(f"The ramp reached {reached}: raise {flags.rate}.")
    turns = _enough_of(reading, found, figures)
    if turns < wanted.turns_min:
        below = f"or end the ramp at a lower rate ({flags.rate}), so that more of it is below the knee"
        mend = f"run longer ({flags.longer}), {below if found.broke_at else f'or raise {flags.rate}'}"
        doubts.append(f"Only {turns} turns could be judged, but turns_min is {wanted.turns_min}: {mend}.")
    if reading.scenario == "ramp" and found.steps and all(step.state == "too few turns" for step in found.steps):
        mend = f"run longer ({flags.longer}), or raise {flags.rate}"
        doubts.append(f"No step of the ramp had {wanted.step_turns_min} turns (step_turns_min): {mend}.")
    return doubts


def _enough_of(reading: Reading, found: Knee, figures: Figures) -> int:
    """Number of turns that support the verdict. A ramp that broke at once has enough: it would break again."""
    broke_at_once = reading.scenario == "ramp" and found.at is None and found.broke_at is not None
    return figures_of(reading, [Span(0.0, math.inf)]).turns if broke_at_once else figures.turns


def _good_news(reading: Reading, wanted: Thresholds, found: Knee) -> list[str]:
    if reading.scenario != "ramp" or not found.at:
        return ["Every threshold was met."]
    calls = found.at.calls_at_once
    carried = f"{calls:.1f} calls at once" if calls is not None else f"{found.at.turns_per_s:.1f} turns/s"
    above = "above that, some were missed" if found.broke_at else "no higher load was tested"
    asked = f" calls_at_once_min is {wanted.calls_at_once_min:g}." if wanted.calls_at_once_min is not None else ""
    return [f"Every threshold was met up to {carried}; {above}.{asked}"]


def _sentence(of: Row) -> str:
    bound = "at least" if of.threshold.endswith("_min") else "at most"
    reported = f"measured {amount(of.measured, of.unit)}" if of.measured is not None else measured(of)
    return f"{of.threshold}: {reported}; required {bound} {amount(of.wanted, of.unit)}."


def measured(of: Row) -> str:
    """The measured value for people, or why there is none."""
    if of.measured is not None:
        return amount(of.measured, of.unit)
    nothing = {"recovery_s_max": "not recovered by the end of the run", "tpot_p99_s_max": "not measured: no answer had usage"}
    return nothing.get(of.threshold, "not measured")


def amount(value: float | None, unit: str) -> str:
    """A value with its unit, for people."""
    if value is None:
        return "–"
    if unit == "share":
        return f"{value * 100:.4g} %"
    if unit == "s":
        return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"
    return f"{value:.1f}" if value % 1 else f"{value:.0f}"
