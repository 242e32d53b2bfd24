"""The picture: goodput by offered load, and below it the share of admitted turns within both bounds. One column per workload."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from loadtest.overload.results import OURS, PLAIN, TUNED, Results

_LINES = {
    OURS: ("firstword", "#1b6ca8", "o"),
    TUNED: ("vllm serve, tuned", "#c77d0a", "s"),
    PLAIN: ("vllm serve", "#a03030", "^"),
}
_WORKLOADS = ("uniform", "voice")


def draw(results: Results, file: Path) -> None:
    """Write the picture. The suffix of `file` sets the format: .svg or .png."""
    shown = [name for name in _WORKLOADS if any(cell.workload == name for cell in results.cells)] or list(_WORKLOADS)
    figure = Figure(figsize=(5.2 * len(shown), 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(shown), squeeze=False, sharex="col")
    for column, workload in enumerate(shown):
        _draw_workload(results, workload, panels[0][column], panels[1][column])
    panels[0][0].legend(frameon=False)
    bounds = results.bounds
    figure.suptitle(f"TTFT ≤ {bounds.ttft_s:g} s and TPOT ≤ {bounds.tpot_s * 1000:g} ms", fontsize=10)
    # No date and no random IDs, so that the same results give the same file.
    with mpl.rc_context({"svg.hashsalt": "overload"}):
        figure.savefig(file, dpi=130, metadata={"Date": None} if file.suffix == ".svg" else None)


def _draw_workload(results: Results, workload: str, upper: Any, lower: Any) -> None:
    for server, (label, colour, marker) in _LINES.items():
        cells = results.line(server, workload)
        style: dict[str, Any] = {"color": colour, "marker": marker, "label": label}
        upper.plot([cell.measures.offered for cell in cells], [cell.measures.goodput for cell in cells], **style)
        reported = [cell for cell in cells if cell.measures.admitted_within is not None]
        lower.plot([cell.measures.offered for cell in reported], [cell.measures.admitted_within for cell in reported], **style)
    if capacity := results.capacity.get(workload):
        upper.plot([0, capacity], [0, capacity], color="0.75", linestyle=":", zorder=0)
        for panel in (upper, lower):
            panel.axvline(capacity, color="0.75", linestyle=":", zorder=0)
    upper.set(title=workload, ylabel="goodput, turns/s")
    upper.set_ylim(bottom=0)
    lower.axhline(0.95, color="0.75", linestyle=":", zorder=0)
    lower.set(xlabel="offered load, turns/s (dotted: capacity)", ylabel="admitted turns within both bounds")
    lower.set_ylim(0, 1.03)
    for panel in (upper, lower):
        panel.set_xlim(left=0)
        panel.spines[["top", "right"]].set_visible(False)
