"""Converts a matplotlib figure to inline SVG. It needs no file and no download, and uses the page's text colour."""

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK = "#010203"
"""Placeholder colour of text and axes, used for nothing else. The page's own colour replaces it."""
BLUE, ORANGE, RED, GREEN, PURPLE, GREY = "#2f7fc1", "#d1830f", "#c8443f", "#3c9a5f", "#8a63c4", "#8a8f98"
# A server's reasons are text and must not be parsed as mathematics. Letters are paths, so every machine shows the same.
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "svg.fonttype": "path",
    "font.size": 10,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def panels(heights: list[float], width: float = 9.0) -> tuple[Figure, list[Axes]]:
    """A figure with panels one above the other, in our style. They share the horizontal axis. Sizes in inches."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, sum(heights)), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    return figure, [row[0] for row in axes]


def drawn(draw: Callable[[], Figure], name: str, title: str) -> str:
    """Draw the figure as an `<svg>` element. `name` makes its IDs unique on the page."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        out = io.StringIO()
        draw().savefig(out, format="svg", transparent=True, metadata=_NO_METADATA)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r'\b(id="|xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    # Remove the size in points, so that the picture scales with the page.
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)


def legend(axes: Axes, columns: int = 4) -> None:
    """Put a legend above the panel, where it covers no line."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, frameon=False, fontsize=9, borderaxespad=0.2)


def whole_numbers(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def plain(text: str) -> str:
    """Replace characters that the font may not have, and cut to 48 characters. A reason can contain anything."""
    return text.encode("ascii", "replace").decode()[:48]
