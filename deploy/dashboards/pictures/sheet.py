"""Draw one dashboard on one sheet, with its panels at Grafana's positions."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from deploy.dashboards.pictures import kinds, theme
from deploy.dashboards.pictures.series import Line, lines
from deploy.dashboards.recorded import Recording

NOTE = (
    "Drawn from recorded data with matplotlib; Grafana's panels look slightly different. The embedded model on two processor "
    "cores, overloaded on purpose.\nKubernetes, autoscaler and GPU data: invented, in the formats of their exporters."
)
COLUMN_IN, ROW_IN, GAP_IN = 0.64, 0.36, 0.07
HEADER_IN, TITLE_IN, LEGEND_ROW_IN = 0.62, 0.3, 0.17
MOST_LEGEND_ROWS = 3

_KINDS: dict[str, Callable[[Axes, dict[str, Any], list[Line]], None]] = {
    "timeseries": kinds.chart,
    "heatmap": kinds.density,
    "state-timeline": kinds.states,
    "stat": kinds.number,
    "table": kinds.listing,
}
_LEGEND_STYLE: dict[str, Any] = {
    "borderaxespad": 0,
    "frameon": False,
    "fontsize": 7,
    "labelcolor": theme.TEXT,
    "handlelength": 1,
    "columnspacing": 1,
    "labelspacing": 0.25,
}
_WITHOUT_AXES = ("stat", "table")


def draw(document: dict[str, Any], recording: Recording) -> Figure:
    """Draw the dashboard. A panel without data shows "No data"."""
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in document["panels"])
    figure = Figure(figsize=(24 * COLUMN_IN + GAP_IN, HEADER_IN + bottom * ROW_IN + GAP_IN), dpi=100, facecolor=theme.PAGE)
    FigureCanvasAgg(figure)
    sheet = _Sheet(figure)
    sheet.write(0.12, 0.24, document["title"], size=14, color=theme.TEXT, weight="bold")
    sheet.write(0.12, 0.48, NOTE, size=8.5, color=theme.FAINT)
    for panel in document["panels"]:
        if panel["type"] == "row":
            sheet.write_heading(panel)
        else:
            sheet.draw_panel(panel, lines(panel, document["uid"], recording))
    return figure


def save(figure: Figure, file: Path) -> None:
    """Save as a PNG with a palette, which is a third as large. The same recording gives the same file."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(256).save(file, format="PNG", optimize=True)


class _Sheet:
    """A page. Positions are in inches from the upper left corner."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        self._width, self._height = figure.get_size_inches()

    def write(self, left: float, top: float, text: str, *, size: float, color: str, weight: str = "normal") -> None:
        at = (left / self._width, 1 - top / self._height)
        self._figure.text(*at, text, fontsize=size, color=color, fontweight=weight, va="center")

    def write_heading(self, panel: dict[str, Any]) -> None:
        top = HEADER_IN + (panel["gridPos"]["y"] + 0.5) * ROW_IN
        self.write(0.12, top, f"▾ {panel['title']}", size=10.5, color=theme.TEXT, weight="bold")

    def draw_panel(self, panel: dict[str, Any], shown: list[Line]) -> None:
        grid = panel["gridPos"]
        left, top = grid["x"] * COLUMN_IN + GAP_IN, HEADER_IN + grid["y"] * ROW_IN + GAP_IN / 2
        width, height = grid["w"] * COLUMN_IN - GAP_IN, grid["h"] * ROW_IN - GAP_IN
        self._frame(left, top, width, height)
        self.write(left + 0.1, top + 0.16, panel["title"], size=8.5, color=theme.TEXT, weight="bold")
        inner = self._axes(left + 0.1, top + TITLE_IN, width - 0.2, height - TITLE_IN - 0.06)
        if not shown:
            inner.set_axis_off()
            inner.text(0.5, 0.5, "No data", color=theme.FAINT, ha="center", va="center", transform=inner.transAxes)
            return
        if panel["type"] not in _WITHOUT_AXES:
            names = [line.name for line in shown] if panel["type"] == "timeseries" else []
            self._leave_margins(inner, panel, width, names)
        _KINDS[panel["type"]](inner, panel, shown)
        if panel["type"] == "timeseries":
            _legend(inner, width)

    def _frame(self, left: float, top: float, width: float, height: float) -> None:
        corner = (left / self._width, 1 - (top + height) / self._height)
        size = (width / self._width, height / self._height)
        frame = Rectangle(corner, *size, facecolor=theme.PANEL, edgecolor=theme.EDGE, linewidth=0.8, zorder=-1)
        frame.set_transform(self._figure.transFigure)
        self._figure.add_artist(frame)

    def _axes(self, left: float, top: float, width: float, height: float) -> Axes:
        axes = self._figure.add_axes((0, 0, 1, 1))
        self._place(axes, left, top, width, height)
        axes.set_facecolor("none")
        axes.tick_params(colors=theme.FAINT, labelsize=7, length=0)
        axes.grid(color=theme.EDGE, linewidth=0.6)
        axes.set_axisbelow(True)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def _place(self, axes: Axes, left: float, top: float, width: float, height: float) -> None:
        axes.set_position((left / self._width, 1 - (top + height) / self._height, width / self._width, height / self._height))

    def _leave_margins(self, axes: Axes, panel: dict[str, Any], width: float, names: list[str]) -> None:
        """Shrink the axes to leave space for the values at the left, and for the times and the legend below."""
        box = axes.get_position()
        left, top = box.x0 * self._width, (1 - box.y1) * self._height
        at_left = 2.1 if panel["type"] == "state-timeline" else 0.72
        below = 0.2 + LEGEND_ROW_IN * min(MOST_LEGEND_ROWS, _legend_rows(names, width))
        self._place(axes, left + at_left, top, box.width * self._width - at_left - 0.2, box.height * self._height - below)


def _legend_columns(names: list[str], width: float) -> int:
    longest = max(len(name) for name in names)
    return max(1, int(width / (0.36 + 0.068 * longest)))


def _legend_rows(names: list[str], width: float) -> int:
    return -(-len(names) // _legend_columns(names, width)) if names else 0


def _legend(axes: Axes, width: float) -> None:
    """Draw as many legend entries as fit, and the number of those left out."""
    handles: list[Any]
    handles, names = axes.get_legend_handles_labels()
    columns = _legend_columns(names, width)
    most = columns * MOST_LEGEND_ROWS
    if len(names) > most:
        handles, names = handles[:most], [*names[: most - 1], f"and {len(names) - most + 1} more"]
    # Matplotlib fills a legend by columns, Grafana by rows.
    order = [at for column in range(columns) for at in range(column, len(names), columns)]
    handles, names = [handles[at] for at in order], [names[at] for at in order]
    figure = axes.get_figure(root=True)
    assert figure is not None
    box = axes.get_position()
    corner = (-0.55 / (box.width * figure.get_figwidth()), -0.2 / (box.height * figure.get_figheight()))
    axes.legend(handles, names, ncols=columns, loc="upper left", bbox_to_anchor=corner, **_LEGEND_STYLE)
