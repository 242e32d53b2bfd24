"""The results as Markdown, for the terminal and `docs/overload.md`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from loadtest.overload.measures import Measures
from loadtest.overload.plot import draw
from loadtest.overload.results import Cell, Results
from loadtest.overload.targets import verdicts
from loadtest.pages import table, write_measured

_CELL_HEADS = (
    "workload", "load", "server", "offered (sent) /s", "goodput /s", "admitted within bounds", "refused (continuing)", "failed",
    "TTFT p50 / 90 / 99", "TPOT p50 / 99", "refusal p50 / 99", "calls unspoiled", "client send delay p99, longest lag",
)  # fmt: skip


def markdown(results: Results) -> str:
    """The whole report: targets, cells, notes."""
    return "\n\n".join((target_table(results), _cell_table(results), "\n\n".join(_notes(results))))


def target_table(results: Results) -> str:
    """Table of all targets: the required and the measured value, and whether the target is met."""
    rows: list[Sequence[str]] = []
    for verdict in verdicts(results):
        sign = "≤" if verdict.is_upper_bound else "≥"
        met = {True: "yes", False: "**no**", None: "not measured"}[verdict.is_met]
        wanted = f"{sign} {verdict.wanted:g}"
        rows.append((verdict.target, verdict.workload, wanted, _number(verdict.measured, 3), met, _number(verdict.at_most)))
    return table(("target", "workload", "required", "measured", "met", "at capacity"), rows)


def cell_line(cell: Cell) -> str:
    """The terminal's line for a finished cell."""
    reported = cell.measures
    mark = "" if reported.is_valid else f"  INVALID: the client sent late, p99 {_number(reported.lateness_p99, 3)} s"
    return (
        f"{cell.server:11}{cell.workload:8}{cell.load:4g}×  offered {reported.offered:5.2f}/s "
        f" goodput {reported.goodput:5.2f}/s  "
        f"admitted within bounds {_percent(reported.admitted_within):>6}  refused {reported.refused}/{reported.turns}  "
        f"TTFT p99 {_number(reported.ttft_p99)} s  longest lag of the client {_number(reported.longest_lag)} s{mark}"
    )


def write_docs(results: Results, page: Path) -> None:
    """Write tables and picture into a page, between its two marks. Raises `typer.BadParameter` if a mark is missing."""
    picture = page.with_suffix(".svg")
    write_measured(page, f"![Goodput over offered load]({picture.name})\n\n{markdown(results)}")
    draw(results, picture)


def _cell_table(results: Results) -> str:
    rows: list[Sequence[str]] = []
    for cell in results.in_order():
        mark = "" if cell.measures.is_valid else " (invalid)"
        rows.append((cell.workload, f"{cell.load:g}×", cell.server + mark, *_cells(cell.measures)))
    return table(_CELL_HEADS, rows)


def _cells(cell: Measures) -> Iterator[str]:
    yield f"{cell.offered:.2f} ({cell.sent:.2f})"
    yield f"{cell.goodput:.2f}"
    yield _percent(cell.admitted_within)
    yield f"{cell.refused} of {cell.turns} ({cell.refused_continuing})"
    yield f"{cell.failed}" + (f", {cell.cut} cut" if cell.cut else "")
    yield " / ".join(_number(value) for value in (cell.ttft_p50, cell.ttft_p90, cell.ttft_p99))
    yield " / ".join(_number(value, 3) for value in (cell.tpot_p50, cell.tpot_p99))
    yield " / ".join(_number(value, 3) for value in (cell.refusal_p50, cell.refusal_p99))
    yield f"{_percent(cell.calls_finished)} of {cell.calls_admitted}, {_number(cell.unspoiled_per_s)}/s"
    yield f"{_number(cell.lateness_p99, 3)}, {_number(cell.longest_lag)}"


def _notes(results: Results) -> Iterator[str]:
    capacity = ", ".join(f"{workload} {turns_per_s:.2f}" for workload, turns_per_s in results.capacity.items())
    yield f"Times in seconds. Capacity, turns/s: {capacity}."
    yield " ".join(f"{name}: {value}." for name, value in results.about.items())
    invalid = [f"{cell.server} {cell.workload} {cell.load:g}×" for cell in results.in_order() if not cell.measures.is_valid]
    if invalid:
        yield f"Invalid, because the client sent late: {', '.join(invalid)}. These cells say nothing about the server."
    failures = sorted({f"{cell.server}: {why}" for cell in results.cells for why in cell.measures.failures})
    if failures:
        yield f"Failures: {'; '.join(failures)}."


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
