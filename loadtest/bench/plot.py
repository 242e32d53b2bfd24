"""The picture: processor time per token by streams; beside it, as ratios, what was measured on the real model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from loadtest.bench.results import ADAPTIVE, COST, MEMORY, OURS, PEER, SERVED, START, TOKEN, TOOLS, Results, Spread

_BARS = (
    ("vllm serve", PEER, TOKEN, "#a03030"),
    ("firstword, a frame a token", OURS, TOKEN, "#1b6ca8"),
    ("firstword, adaptive frames", OURS, ADAPTIVE, "#7db8e0"),
    ("vllm serve, with tools", PEER, TOOLS, "#d99a9a"),
    ("firstword, with tools", OURS, TOOLS, "#3c6f5a"),
)


def draw(results: Results, file: Path) -> None:
    """Write the picture, as the file's suffix says: .svg, .png."""
    figure = Figure(figsize=(10.4, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _draw_cost(results, left)
    _draw_ratios(results, right)
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
    # The same results give the same file: no date, no random IDs.
    with mpl.rc_context({"svg.hashsalt": "bench"}):
        figure.savefig(file, dpi=130, metadata={"Date": None} if file.suffix == ".svg" else None)


def _draw_cost(results: Results, panel: Any) -> None:
    streams = sorted({streams for _, streams in results.places(COST)})
    width = 0.8 / len(_BARS)
    for number, (label, server, mode, colour) in enumerate(_BARS):
        heights = [results.median(COST, server, mode, each, "cpu_us_per_token") or 0 for each in streams]
        at = [place + (number - (len(_BARS) - 1) / 2) * width for place in range(len(streams))]
        panel.bar(at, heights, width, label=label, color=colour)
    panel.set_xticks(range(len(streams)), [str(each) for each in streams])
    panel.set(title="processor time of the API process, µs a token", xlabel="streams")
    if streams:
        panel.legend(frameon=False, fontsize=8)


def _draw_ratios(results: Results, panel: Any) -> None:
    shown = [(label, ratio) for label, ratio in _ratios(results) if ratio]
    for height, (_, ratio) in enumerate(reversed(shown)):
        panel.plot([ratio.least, ratio.most], [height, height], color="#7db8e0", linewidth=3, solid_capstyle="round")
        panel.plot([ratio.median], [height], color="#1b6ca8", marker="o")
    panel.axvline(1, color="0.6", linestyle=":", zorder=0)
    panel.set_yticks(range(len(shown)), [label for label, _ in reversed(shown)])
    panel.set(title="firstword over vllm serve", xlabel="ratio; the line is from the least round to the most")


def _ratios(results: Results) -> Iterator[tuple[str, Spread | None]]:
    for name, label in (("ttft_p50_ms", "TTFT"), ("tpot_p50_ms", "TPOT"), ("tokens_per_s", "tokens/s")):
        for mode, streams in results.places(SERVED):
            yield f"{label}, {streams}", results.ratio(SERVED, mode, streams, name)
    yield "peak memory", results.ratio(MEMORY, "", 0, "peak_bytes")
    yield "start", results.ratio(START, "", 0, "first_turn_s")
