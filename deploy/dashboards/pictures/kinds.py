"""Draw each kind of panel into its axes."""

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.ticker import MaxNLocator, MultipleLocator

from deploy.dashboards.pictures import theme
from deploy.dashboards.pictures.series import Line
from deploy.dashboards.pictures.units import written

MOST_TICKS = 5
_TICKS_S = (5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)


def chart(axes: Axes, panel: dict[str, Any], shown: list[Line]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults["custom"]
    is_stacked = custom.get("stacking", {}).get("mode") == "normal"
    stacked = [line for line in shown if is_stacked and not line.is_limit]
    if stacked:
        _stack(axes, stacked)
    for line in (line for line in shown if line not in stacked):
        style = "--" if line.is_limit else "-"
        axes.plot(line.times, line.values, color=line.color, linewidth=1.1, linestyle=style, label=line.name)
    for step in defaults.get("thresholds", {}).get("steps", ()):
        if step["value"] is not None:
            axes.axhline(step["value"], color=theme.color(step["color"]), linewidth=1, linestyle=(0, (6, 4)))
    _time_axis(axes)
    _value_axis(axes, defaults, [value for line in shown for value in line.values])


def _value_axis(axes: Axes, defaults: dict[str, Any], values: list[float]) -> None:
    low, high = min(0, *axes.get_ylim()), max(axes.get_ylim())
    if not any(values):
        low, high = 0, 1
    axes.set_ylim(low, defaults.get("max", 1.04 * high))
    is_count = all(value.is_integer() for value in values)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10], integer=is_count))
    axes.yaxis.set_major_formatter(lambda value, _: written(value, defaults["unit"]))


def _stack(axes: Axes, shown: list[Line]) -> None:
    """Stack the series. A series counts as 0 where it has no value."""
    times = sorted({time for line in shown for time in line.times})
    rows = []
    for line in shown:
        known = dict(zip(line.times, line.values, strict=True))
        rows.append([known.get(time, 0.0) for time in times])
    names, colors = [line.name for line in shown], [line.color for line in shown]
    axes.stackplot(times, np.nan_to_num(rows), labels=names, colors=colors, alpha=0.7, linewidth=0)


def density(axes: Axes, panel: dict[str, Any], shown: list[Line]) -> None:
    """A heatmap. Prometheus' buckets are cumulative, so the content of one is its difference to the one before."""
    shown = sorted(shown, key=lambda line: float(line.labels["le"]))
    times = sorted({time for line in shown for time in line.times})
    cumulative = []
    for line in shown:
        known = dict(zip(line.times, line.values, strict=True))
        cumulative.append([known.get(time, math.nan) for time in times])
    within = np.diff(np.nan_to_num(cumulative), axis=0, prepend=0).clip(min=0)
    bands = np.arange(len(shown))
    norm = PowerNorm(0.5, vmin=0, vmax=max(within.max(), 1e-9))
    axes.pcolormesh(times, bands, np.where(within > 0, within, math.nan), cmap="inferno", norm=norm, shading="nearest")
    axes.set_ylim(-0.5, len(shown) - 0.5)
    unit = panel["fieldConfig"]["defaults"]["unit"]
    axes.set_yticks(bands[::2], [_bound(line.labels["le"], unit) for line in shown][::2])
    axes.grid(visible=False)
    _time_axis(axes)


def _bound(le: str, unit: str) -> str:
    return "beyond" if le == "+Inf" else f"≤ {written(float(le), unit)}"


def states(axes: Axes, panel: dict[str, Any], shown: list[Line]) -> None:
    texts = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    for row, line in enumerate(shown):
        for begin, end, value in _runs(line):
            color = theme.color(texts[f"{value:g}"]["color"])
            axes.broken_barh([(begin, end - begin)], (row - 0.35, 0.7), facecolors=color, alpha=0.75, linewidth=0)
        last = texts[f"{line.values[-1]:g}"]["text"]
        axes.text(line.times[-1], row, f"{last} ", color=theme.PAGE, ha="right", va="center", fontsize=7)
    axes.set_yticks(range(len(shown)), [line.name for line in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(visible=False)
    _time_axis(axes)


def _runs(line: Line) -> list[tuple[float, float, float]]:
    """Begin, end and value of each run of equal values."""
    changes = [0] + [at for at in range(1, len(line.values)) if line.values[at] != line.values[at - 1]]
    ends = [*changes[1:], len(line.values) - 1]
    return [(line.times[begin], line.times[end], line.values[begin]) for begin, end in zip(changes, ends, strict=True)]


def number(axes: Axes, panel: dict[str, Any], shown: list[Line]) -> None:
    """The newest values side by side, each in front of a sparkline of its values."""
    axes.set_axis_off()
    axes.set(xlim=(0, len(shown)), ylim=(0, 1))
    defaults = panel["fieldConfig"]["defaults"]
    for place, line in enumerate(shown):
        last = line.values[-1]
        color = _step_color(last, defaults["thresholds"]["steps"])
        _sparkline(axes, line.values, place, color)
        text = written(last, defaults["unit"])
        size = min(22.0, 22.0 * 3.2 * _inches_wide(axes) / len(shown) / max(len(text), 5))
        axes.text(place + 0.5, 0.55, text, color=color, ha="center", va="center", fontsize=size, fontweight="bold")
        if len(shown) > 1:
            axes.text(place + 0.5, 0.92, line.name, color=theme.TEXT, ha="center", va="center", fontsize=8)


def _inches_wide(axes: Axes) -> float:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return float(axes.get_position().width * figure.get_figwidth())


def _sparkline(axes: Axes, values: list[float], place: int, color: str) -> None:
    known = [value for value in values if math.isfinite(value)]
    if len(known) < 2:
        return
    low, high = min(0, *known), max(known)
    heights = [0.3 * (value - low) / ((high - low) or 1) for value in known]
    along = np.linspace(place + 0.03, place + 0.97, len(known))
    axes.fill_between(along, heights, color=color, alpha=0.18, linewidth=0)
    axes.plot(along, heights, color=color, linewidth=0.8)


def _step_color(value: float, steps: list[dict[str, Any]]) -> str:
    reached = [step for step in steps if step["value"] is None or value >= step["value"]]
    return theme.color(reached[-1]["color"])


def listing(axes: Axes, panel: dict[str, Any], shown: list[Line]) -> None:
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    options = panel["transformations"][0]["options"]
    columns = sorted(options["indexByName"], key=options["indexByName"].get)
    unit = panel["fieldConfig"]["defaults"]["unit"]
    rows = [[options["renameByName"].get(column, column) for column in columns]]
    for line in shown:
        cells = line.labels | {"Value": written(line.values[-1], unit)}
        rows.append([cells.get(column, "") for column in columns])
    widths = np.array([max(len(row[at]) for row in rows) + 3 for at in range(len(columns))], dtype=float)
    left = np.concatenate([[0], np.cumsum(widths / widths.sum())])
    for down, row in enumerate(rows):
        for at, cell in enumerate(row):
            color = theme.FAINT if down == 0 else theme.TEXT
            axes.text(left[at], 0.93 - 0.13 * down, cell, color=color, fontsize=7.5, va="center")


def _time_axis(axes: Axes) -> None:
    axes.margins(x=0)
    begin_s, end_s = axes.get_xlim()
    step_s = next((step_s for step_s in _TICKS_S if (end_s - begin_s) / step_s <= MOST_TICKS), _TICKS_S[-1])
    axes.xaxis.set_major_locator(MultipleLocator(step_s))
    axes.xaxis.set_major_formatter(lambda at_s, _: datetime.fromtimestamp(at_s, UTC).strftime("%H:%M:%S"))
