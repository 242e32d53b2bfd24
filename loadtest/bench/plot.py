"""The picture: CPU time per token by number of streams, and beside it the ratios measured on the real model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from loadtest.bench.results import ADAPTIVE, COST, MEMORY, OURS, PEER, RUST, SERVED, START, TOKEN, TOOLS, Results, Spread

_BARS = (
    ("vllm serve", PEER, TOKEN, "#a03030"),
    ("Rust front end", RUST, TOKEN, "#c98a1b"),
    ("firstword, one frame per token", OURS, TOKEN, "#1b6ca8"),
    ("firstword, adaptive frames", OURS, ADAPTIVE, "#7db8e0"),
    ("vllm serve, with tools", PEER, TOOLS, "#d99a9a"),
    ("Rust front end, with tools", RUST, TOOLS, "#e8c98c"),
    ("firstword, with tools", OURS, TOOLS, "#3c6f5a"),
)
_RATIOS = {PEER: ("its Python front end", "#1b6ca8", "#7db8e0"), RUST: ("its Rust front end", "#c98a1b", "#e8c98c")}
"""Label, colour of the middle round, colour of the line."""


def draw(results: Results, file: Path) -> None:
    """Write the picture. The suffix of `file` sets the format: .svg or .png."""
    figure = Figure(figsize=(10.4, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_cost(results, left)
    _draw_ratios(results, right)
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
    # No date and no random IDs, so that the same results give the same file.
    with mpl.rc_context({"svg.hashsalt": "bench"}):
        figure.savefig(file, dpi=130, metadata={"Date": None} if file.suffix == ".svg" else None)


def _draw_cost(results: Results, panel: Any) -> None:
    streams = sorted({streams for _, streams in results.places(COST)})
    bars = [bar for bar in _BARS if bar[1] in (OURS, *results.peers)]
    width = 0.8 / len(bars)
    for number, (label, server, mode, colour) in enumerate(bars):
        heights = [results.median(COST, server, mode, each, "cpu_us_per_token") or 0 for each in streams]
        at = [place + (number - (len(bars) - 1) / 2) * width for place in range(len(streams))]
        panel.bar(at, heights, width, label=label, color=colour)
    panel.set_xticks(range(len(streams)), [str(each) for each in streams])
    panel.set(title="CPU time of the API process, µs per token", xlabel="streams")
    if streams:
        _legend_below(panel, columns=3)


def _draw_ratios(results: Results, panel: Any) -> None:
    labels = [label for label, ratio in _ratios(results, PEER) if ratio]
    for number, peer in enumerate(results.peers):
        name, dot, line = _RATIOS[peer]
        for label, ratio in _ratios(results, peer):
            if ratio and label in labels:
                height = len(labels) - 1 - labels.index(label) - 0.25 * number
                panel.plot([ratio.least, ratio.most], [height, height], color=line, linewidth=3, solid_capstyle="round")
                panel.plot([ratio.median], [height], color=dot, marker="o")
        panel.plot([], [], color=dot, marker="o", linestyle="", label=name)
    panel.axvline(1, color="0.6", linestyle=":", zorder=0)
    panel.set_yticks(range(len(labels)), list(reversed(labels)))
    panel.set(title="firstword over vllm serve", xlabel="ratio (line: lowest to highest round)")
    if len(results.peers) > 1:
        _legend_below(panel, columns=2)


def _legend_below(panel: Any, columns: int) -> None:
    """Put the legend below the panel, where it covers no values."""
    panel.legend(frameon=False, fontsize=8, ncols=columns, loc="upper center", bbox_to_anchor=(0.5, -0.12))


def _ratios(results: Results, peer: str) -> Iterator[tuple[str, Spread | None]]:
    for name, label in (("ttft_p50_ms", "TTFT"), ("tpot_p50_ms", "TPOT"), ("tokens_per_s", "tokens/s")):
        for mode, streams in results.places(SERVED):
            yield f"{label}, {streams}", results.ratio(SERVED, mode, streams, name, peer=peer)
    yield "peak memory", results.ratio(MEMORY, "", 0, "peak_bytes", peer=peer)
    yield "start", results.ratio(START, "", 0, "first_turn_s", peer=peer)
