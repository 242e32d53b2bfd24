"""The results as Markdown, for the terminal and `docs/performance.md`."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from loadtest.bench.cost import OVERSLEPT_S
from loadtest.bench.large import TOLD
from loadtest.bench.plot import draw
from loadtest.bench.results import COST, LARGE, MEMORY, OURS, PEERS_MODE, SERVED, START, Cell, Results, Spread
from loadtest.bench.targets import Verdict, reported, verdicts
from loadtest.pages import table, write_measured

LARGE_HEADS = ("large request", "server", "status", "answered after, s", "gap p50 / p99 / max, ms: without it", "during it",
               "during / without")  # fmt: skip
_MISSING = "–"
QUIET = 0.2
"""Number of CPUs that may be busy with other work during a measurement of CPU time."""
_ON_THE_LINE = ("cpu_us_per_token", "ttft_p50_ms", "tpot_p50_ms", "tokens_per_s", "gap_p99_ms", "others_processors",
                "tries", "status", "quiet_p99_ms", "busy_p99_ms", "busy_max_ms", "peak_bytes", "first_turn_s")  # fmt: skip


def markdown(results: Results) -> str:
    """The whole report: targets, a table for each measured part, notes."""
    parts = [target_table(results)]
    for title, heads, rows in (
        ("CPU time per token", _cost_heads(results), _cost_rows),
        ("The real model, by `vllm bench serve`", _served_heads(results), _served_rows),
        ("Memory and start", ("", *_ratio_heads("ours", results)), _process_rows),
        ("Streams during a large request", LARGE_HEADS, _large_rows),
    ):
        if shown := list(rows(results)):
            parts.append(f"**{title}**\n\n{table(heads, shown)}")
    return "\n\n".join([*parts, *_notes(results)])


def target_table(results: Results) -> str:
    """Table of all targets: the required and the measured value, and whether the target is met."""
    rows = [
        (each.target, f"{'≤' if each.is_upper_bound else '≥'} {each.wanted:g}", _spread(each.spread, 3), _met(each))
        for each in verdicts(results)
    ]
    return table(("target (ratio to vLLM's, unless in ms)", "required", "measured", "met"), rows)


def cell_line(cell: Cell) -> str:
    """The terminal's line for a finished cell."""
    shown = ((name, cell.figures.get(name)) for name in _ON_THE_LINE)
    figures = "  ".join(f"{name} {value:.4g}" for name, value in shown if value is not None)
    failed = "  INVALID: turns failed" if cell.figures.get("failed") else ""
    place = f"{cell.streams:3} streams" if cell.streams else ""
    return f"{cell.round}  {cell.server:10}{cell.part:7} {cell.mode:17}{place:12}{figures}{failed}"


def write_docs(results: Results, page: Path) -> None:
    """Write tables and picture into a page, between its two marks. Raises `typer.BadParameter` if a mark is missing."""
    picture = page.with_suffix(".svg")
    write_measured(page, f"![Firstword and vLLM's own server]({picture.name})\n\n{markdown(results)}")
    draw(results, picture)


def _met(verdict: Verdict) -> str:
    if verdict.is_met is None:
        return "not measured"
    reported = "yes" if verdict.is_met else "within noise" if verdict.is_within_noise else "**no**"
    return reported if verdict.is_of_enough_rounds else f"{reported} (too few rounds)"


def _cost_heads(results: Results) -> list[str]:
    raw = [head for what in ("tokens/s", "frames per token", "gap p50 / p99, ms") for head in (f"{what}: ours", *results.peers)]
    return ["frames", "streams", *_ratio_heads("µs per token: ours", results), *raw]


def _cost_rows(results: Results) -> Iterator[Sequence[str]]:
    for mode, streams in results.places(COST):

        def of(name: str, digits: int, mode: str = mode, streams: int = streams) -> list[str]:
            return _numbers(_medians(results, COST, mode, streams, name), digits)

        costs = _ratio_cells(results, COST, mode, streams, "cpu_us_per_token")
        gaps = [" / ".join(both) for both in zip(of("gap_p50_ms", 1), of("gap_p99_ms", 1), strict=True)]
        yield reported(mode), str(streams), *costs, *of("tokens_per_s", 0), *of("frames_per_token", 2), *gaps


def _served_heads(results: Results) -> list[str]:
    columns = ("TTFT p50, ms", "TPOT p50, ms", "tokens/s")
    return ["streams", *(head for what in columns for head in _ratio_heads(f"{what}: ours", results))]


def _served_rows(results: Results) -> Iterator[Sequence[str]]:
    for mode, streams in results.places(SERVED):
        names = ("ttft_p50_ms", "tpot_p50_ms", "tokens_per_s")
        yield str(streams), *(cell for name in names for cell in _ratio_cells(results, SERVED, mode, streams, name))


def _process_rows(results: Results) -> Iterator[Sequence[str]]:
    for what, part, name, unit, digits in (
        ("peak memory of the API process, MiB", MEMORY, "peak_bytes", 2**20, 0),
        ("start to first answered turn, s", START, "first_turn_s", 1, 1),
    ):
        if any(value is not None for value in _medians(results, part, "", 0, name)):
            yield what, *_ratio_cells(results, part, "", 0, name, unit=unit, digits=digits)


def _medians(results: Results, part: str, mode: str, streams: int, name: str) -> list[float | None]:
    """Medians of our server, then of each peer in the mode that ours is compared with."""
    modes = {OURS: mode} | dict.fromkeys(results.peers, PEERS_MODE.get(mode, mode))
    return [results.median(part, server, its_mode, streams, name) for server, its_mode in modes.items()]


def _ratio_heads(ours: str, results: Results) -> list[str]:
    return [ours, *(head for peer in results.peers for head in (peer, "ratio"))]


def _ratio_cells(results: Results, part: str, mode: str, streams: int, name: str, *, unit: int = 1, digits: int = 1) -> list[str]:
    """The cells of `_ratio_heads`: ours, then each peer and the ratio ours / peer. `unit`: divisor of the figure."""
    medians = _medians(results, part, mode, streams, name)
    ours, *theirs = _numbers((value and value / unit for value in medians), digits)
    ratios = [_spread(results.ratio(part, mode, streams, name, peer=peer)) for peer in results.peers]
    return [ours, *(cell for pair in zip(theirs, ratios, strict=True) for cell in pair)]


def _large_rows(results: Results) -> Iterator[Sequence[str]]:
    for kind, streams in results.places(LARGE):
        for server in (OURS, *results.peers):
            quiet, busy = (
                [results.median(LARGE, server, kind, streams, f"{when}_{which}_ms") for which in ("p50", "p99", "max")]
                for when in ("quiet", "busy")
            )
            raised = [now / before if now is not None and before else None for before, now in zip(quiet, busy, strict=True)]
            status, lasted = (results.median(LARGE, server, kind, streams, name) for name in ("status", "answered_s"))
            gaps = (" / ".join(_numbers(three, 1)) for three in (quiet, busy, raised))
            yield TOLD.get(kind, kind), server, _number(status, 0), _number(lasted, 2), *gaps


def _notes(results: Results) -> Iterator[str]:
    about = " ".join(f"{name}: {value}." for name, value in results.about.items())
    yield f"Values are medians of the rounds. A ratio is computed per round; shown are median, lowest and highest. {about}"
    failed = sorted(
        {f"{cell.server} {cell.part} {cell.mode} {cell.streams}" for cell in results.cells if cell.figures.get("failed")}
    )
    if failed:
        yield f"Invalid, because turns failed: {', '.join(failed)}."
    held_up = [cell for cell in results.cells if (cell.figures.get("client_overslept_s") or 0.0) > OVERSLEPT_S]
    if held_up:
        where = ", ".join(sorted({f"{cell.server} {cell.mode} {cell.streams} (round {cell.round})" for cell in held_up}))
        yield f"The client lacked CPU in every try, so the best try is shown: {where}."
    others = max((cell.figures.get("others_processors") or 0.0 for cell in results.cells), default=0.0)
    if others > QUIET:
        yield f"The machine was not quiet: up to {others:.1f} CPUs were busy with other work, or taken away by the host."


def _spread(spread: Spread | None, digits: int = 2) -> str:
    if spread is None:
        return _MISSING
    return f"**{spread.median:.{digits}f}** ({spread.least:.{digits}f}–{spread.most:.{digits}f})"


def _number(value: float | None, digits: int) -> str:
    return _MISSING if value is None else f"{value:.{digits}f}"


def _numbers(values: Iterable[float | None], digits: int) -> list[str]:
    return [_number(value, digits) for value in values]
