"""The pictures. Each shows the values of one table. Thresholds are dash-dotted lines."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from loadtest.report.drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, legend, panels, plain, whole_numbers
from loadtest.report.knee import Knee, Step
from loadtest.report.reading import Reading, Span
from loadtest.report.tables import CALL_OUTCOMES, REFUSED, Bin, reasons_of
from loadtest.report.thresholds import Thresholds

_PERCENTS = {"p50": (BLUE, "-"), "p95": (ORANGE, "--"), "p99": (RED, ":")}
_REFUSALS, _FAILURES = (PURPLE, "#b795e0", "#5d3f94"), (RED, "#e38a86", "#8c2622")
_MOST_REASONS = 3
_CALLS = dict(zip(CALL_OUTCOMES, (GREEN, ORANGE, PURPLE, GREY, "#c9ccd1"), strict=True))


def latency_over_time(bins: Sequence[Bin], wanted: Thresholds) -> Figure:
    figure, (upper, lower) = panels([3.4, 1.6])
    middles = [_middle(each.span) for each in bins]
    for name, (colour, dashes) in _PERCENTS.items():
        values = [each.figures.ttft_s.get(name) for each in bins]
        upper.plot(middles, _known(values), color=colour, linestyle=dashes, marker=".", label=f"TTFT {name}")
    _limit(upper, wanted.ttft_p95_s_max, "required p95")
    upper.set_ylabel("TTFT, s")
    upper.set_ylim(bottom=0)
    lower.plot(middles, _known([each.calls_at_once for each in bins]), color=GREEN, label="calls at once")
    lower.set(xlabel="time since the start of the run, s", ylabel="calls at once")
    lower.set_ylim(bottom=0)
    lower.set_xlim(left=0)
    whole_numbers(lower)
    legend(upper)
    return figure


def latency_over_load(found: Knee, wanted: Thresholds) -> Figure:
    """TTFT and goodput by the calls at once of each step. Steps with an unknown number are left out."""
    figure, (upper, lower) = panels([3.2, 2.2])
    by_load = sorted((step.calls_at_once, step.span.begin_s, step) for step in found.steps if step.calls_at_once is not None)
    loads, steps = [load for load, _, _ in by_load], [step for _, _, step in by_load]
    for name, (colour, dashes) in _PERCENTS.items():
        values = [step.figures.ttft_s.get(name) for step in steps]
        upper.plot(loads, _known(values), color=colour, linestyle=dashes, marker="o", markersize=4, label=f"TTFT {name}")
    lower.plot(
        loads, _known([step.figures.goodput_share for step in steps]), color=GREEN, marker="o", markersize=4, label="goodput"
    )
    _limit(upper, wanted.ttft_p95_s_max, "required p95")
    _limit(lower, wanted.goodput_share_min, "required")
    _mark_knee((upper, lower), found.at)
    upper.set_ylabel("TTFT, s")
    upper.set_ylim(bottom=0)
    lower.set(xlabel="calls at once (mean over the step)", ylabel="turns on time, share")
    lower.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    lower.set_ylim(0, 1.08)
    lower.set_xlim(left=0)
    legend(upper, columns=5)
    legend(lower)
    return figure


def outcomes_over_time(reading: Reading, bins: Sequence[Bin]) -> Figure:
    figure, (axes,) = panels([3.6])
    shown = {"on time": (GREEN, [each.figures.counts.get("on_time", 0) for each in bins]),
             "late": (ORANGE, [each.figures.counts.get("late", 0) for each in bins])}  # fmt: skip
    reasons = reasons_of(bins)
    for kind, colours in ((REFUSED, _REFUSALS), ("failed", _FAILURES)):
        own = [reason for reason in reasons if reason.startswith(kind)]
        for reason, colour in zip(own[: _MOST_REASONS - 1], colours, strict=False):
            shown[reason] = (colour, [each.reasons[reason] for each in bins])
        if rest := own[_MOST_REASONS - 1 :]:
            shown[f"{kind}: others"] = (colours[-1], [sum(each.reasons[reason] for reason in rest) for each in bins])
    _stack(
        axes,
        [each.span for each in bins],
        {name: (colour, _per_s(reading, bins, counts)) for name, (colour, counts) in shown.items()},
    )
    axes.set(xlabel="time since the start of the run, s", ylabel="turns/s, by send time")
    legend(axes, columns=2)
    return figure


def calls_over_time(parts: Sequence[tuple[Span, Counter[str]]]) -> Figure:
    figure, (axes,) = panels([2.8])
    spans = [span for span, _ in parts]
    shown = [name for name in CALL_OUTCOMES if any(counts[name] for _, counts in parts)]
    _stack(axes, spans, {name: (_CALLS[name], [float(counts[name]) for _, counts in parts]) for name in shown})
    axes.set(xlabel="time since the start of the run, s", ylabel="calls begun")
    whole_numbers(axes)
    legend(axes, columns=5)
    return figure


def gaps(reading: Reading) -> Figure:
    """The distribution of ITL, in the record's own buckets: each is 5 % wider than the one before."""
    figure, (axes,) = panels([2.8])
    edges, counts = reading.raw["itl"]["edges_s"], reading.raw["itl"]["counts"]
    whole = sum(counts)
    lefts = [edge / 1.05 for edge in edges]
    axes.bar(lefts, [count / whole for count in counts], [edge - left for edge, left in zip(edges, lefts, strict=True)],
             align="edge", color=BLUE, label="gaps between chunks (ITL)")  # fmt: skip
    least = next((left for left, count in zip(lefts, counts, strict=True) if count), 0.0001)
    axes.set_xscale("log")
    # Plain numbers: Matplotlib's own labels of this axis need mathematics, which `_STYLE` turns off.
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(least * 0.5, edges[-1] * 2)
    axes.set(xlabel="gap between two chunks of an answer, s (logarithmic)", ylabel="share of the gaps")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    legend(axes)
    return figure


def client(reading: Reading, limit: float) -> Figure:
    figure, (axes,) = panels([2.4])
    watches = reading.raw["client"]
    for number, (name, watch) in enumerate(watches.items()):
        label = "each process" if len(watches) > 1 else plain(name)
        axes.plot([at_s for at_s, _ in watch["cpu"]], [used for _, used in watch["cpu"]], color=BLUE, linewidth=1,
                  label=label if number == 0 else None)  # fmt: skip
    _limit(axes, limit, "limit")
    axes.set(xlabel="time since the start of the run, s", ylabel="CPUs used")
    axes.set_ylim(0, max(1.1, axes.get_ylim()[1]))
    axes.set_xlim(left=0)
    legend(axes)
    return figure


def _limit(axes: Axes, value: float | None, label: str) -> None:
    if value is not None:
        axes.axhline(value, color=GREY, linestyle="-.", linewidth=1.2, label=label)


def _mark_knee(of: Sequence[Axes], at: Step | None) -> None:
    if at is not None and at.calls_at_once is not None:
        for axes in of:
            axes.axvline(at.calls_at_once, color=PURPLE, linewidth=1.2, label=f"carried: {at.calls_at_once:.1f} calls")


def _stack(axes: Axes, spans: Sequence[Span], shown: dict[str, tuple[str, list[float]]]) -> None:
    floor = [0.0] * len(spans)
    for name, (colour, heights) in shown.items():
        axes.bar([span.begin_s for span in spans], heights, [span.length_s * 0.92 for span in spans], bottom=floor,
                 align="edge", color=colour, label=plain(name))  # fmt: skip
        floor = [low + height for low, height in zip(floor, heights, strict=True)]
    axes.set_xlim(left=0)


def _per_s(reading: Reading, bins: Sequence[Bin], counts: Sequence[int]) -> list[float]:
    return [count * reading.weight / each.span.length_s for count, each in zip(counts, bins, strict=True)]


def _middle(span: Span) -> float:
    return (span.begin_s + span.end_s) / 2


def _known(values: Sequence[float | None]) -> Any:
    """Replace None by NaN, which leaves a gap in the line."""
    return [float("nan") if value is None else value for value in values]
