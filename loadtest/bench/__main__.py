"""`python -m loadtest.bench` (`make bench`): the command."""

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from loadtest.bench.bench import Bench, Plan
from loadtest.bench.plot import draw
from loadtest.bench.report import cell_line, markdown, target_table, write_docs
from loadtest.bench.results import COST, LARGE, MEMORY, RUST, SERVED, START, Cell, Results, read_results
from loadtest.bench.rust_frontend import VERSION, RustFrontendUnavailableError, find_rust_frontend
from loadtest.pages import results_file, write_beside
from loadtest.progress import about, measuring
from service.engine.models.embedded import ensure_embedded_model

console = Console(highlight=False)
PARTS = {"a": COST, "b": SERVED, "c": MEMORY, "d": START, "e": LARGE}


def main(  # noqa: PLR0917  # typer's way to declare options
    parts: Annotated[
        str, typer.Option(help="a: CPU time per token; b: the real model; c: memory after b; d: start; e: large requests.")
    ] = "a,b,c,d,e",
    rounds: Annotated[int, typer.Option(help="Number of rounds. Each round measures every server once.", min=1)] = 3,
    streams: Annotated[str, typer.Option(help="Numbers of concurrent streams in part a.")] = "8,32,64",
    real_streams: Annotated[str, typer.Option(help="Numbers of concurrent streams in part b.")] = "1,8,32",
    seconds: Annotated[
        float, typer.Option(help="Seconds of each measurement of part a. Part b takes twice as long.", min=1)
    ] = 10.0,
    quick: Annotated[bool, typer.Option("--quick", help="Run one short round, as a smoke test.")] = False,
    rust: Annotated[
        bool, typer.Option("--rust/--no-rust", help="Also measure vLLM's Rust front end, if its binary is available.")
    ] = True,
    named: Annotated[
        Path | None, typer.Option("--results", help="JSON file to add to; by default reports/bench-DATE.json.")
    ] = None,
    docs: Annotated[Path | None, typer.Option("--write-docs", help="Page into which tables and picture are written.")] = None,
    measured: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Measure, or only report the contents of the results file.")
    ] = True,
) -> None:
    """Measure the cost of our layer, compared with `vllm serve`'s own server on the same engine."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Like Ctrl-C, so that the servers are stopped too.
    file = results_file(named, "bench", is_quick=quick, is_measured=measured)
    results = read_results(file)
    if measured:
        plan = Plan(
            parts=_parts(parts),
            rounds=1 if quick else rounds,
            streams=_numbers(streams),
            real_streams=_numbers(real_streams),
            seconds=2.0 if quick else seconds,
            warm_up_s=1.0 if quick else seconds / 3,
            served_s=4.0 if quick else 2 * seconds,
            repeats=1 if quick else 3,
            rust_frontend=rust_frontend() if rust else None,
        )
        _measure(plan, results, file)
    write_beside(file, partial(draw, results), markdown(results))
    console.print(Markdown(target_table(results)))
    if docs:
        write_docs(results, docs)
    console.print(f"{file}, and beside it .md, .svg, .png")


def rust_frontend(find: Callable[[], Path] = find_rust_frontend) -> Path | None:
    """The third server's binary. If it is not available, print why and return None: the benchmark then measures two servers."""
    try:
        return find()
    except RustFrontendUnavailableError as error:
        console.print(f"vLLM's Rust front end is not measured: {error}", soft_wrap=True)
        return None


def _measure(plan: Plan, results: Results, file: Path) -> None:
    ensure_embedded_model(console.print)  # Unpack it now, so that it does not count as start time.
    lasts = {COST: f" of {plan.seconds:g} s", SERVED: f" of about {plan.served_s:g} s"}
    results.about |= about() | {
        f"Part {letter}": f"{plan.rounds} rounds{lasts.get(part, '')}" for letter, part in PARTS.items() if part in plan.parts
    }
    if plan.rust_frontend:
        results.about[RUST] = f"`vllm serve` with the Rust front end of vLLM {VERSION}"
    with measuring(console, plan.cells) as (say, done):

        def on_cell(cell: Cell) -> None:
            results.write(file)
            done(cell_line(cell))

        Bench(plan, results, file.with_name(f"{file.stem}-logs"), on_cell=on_cell, say=say).run()


def _parts(reported: str) -> list[str]:
    letters = reported.split(",")
    if unknown := [letter for letter in letters if letter not in PARTS]:
        raise typer.BadParameter(f"unknown part: {', '.join(unknown)}. Known parts: {', '.join(PARTS)}.")
    if "c" in letters and "b" not in letters:
        raise typer.BadParameter("part c measures the memory after part b. Add b.")
    return [PARTS[letter] for letter in letters]


def _numbers(reported: str) -> list[int]:
    try:
        return [int(number) for number in reported.split(",")]
    except ValueError:
        raise typer.BadParameter(f"must be numbers separated by commas, given {reported!r}.") from None


if __name__ == "__main__":
    typer.run(main)
