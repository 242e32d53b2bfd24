"""`python -m loadtest.overload`: the command."""

import signal
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from loadtest.overload.bench import Bench, Plan
from loadtest.overload.plot import draw
from loadtest.overload.report import cell_line, markdown, target_table, write_docs
from loadtest.overload.results import FLOOD, OURS, PLAIN, TUNED, Cell, Results, read_results
from loadtest.overload.run import Run
from loadtest.overload.texts import texts_of
from loadtest.overload.tuning import Held
from loadtest.overload.workloads import Uniform, Voice, Workload
from loadtest.pages import results_file, write_beside
from loadtest.progress import about, measuring
from service.engine.models.embedded import ensure_embedded_model

console = Console(highlight=False)
QUICK_S = 12.0


def main(  # noqa: PLR0917  # typer's way to declare options
    servers: Annotated[str, typer.Option(help="Servers to measure, in this order.")] = f"{PLAIN},{TUNED},{OURS}",
    workloads: Annotated[
        str, typer.Option(help="Workloads to measure. `flood` is measured on our server only.")
    ] = f"uniform,voice,{FLOOD}",
    loads: Annotated[str, typer.Option(help="Offered loads, as multiples of capacity.")] = "0.5,1,2,4",
    capacity: Annotated[
        str,
        typer.Option(
            help="Capacity in turns/s, as `uniform=3.3,voice=2`. By default from the results file, or measured on vllm."
        ),
    ] = "",
    duration: Annotated[float, typer.Option(help="Measured seconds per cell.", min=5)] = 60.0,
    quick: Annotated[bool, typer.Option("--quick", help=f"Measure only {QUICK_S:g} s per cell, as a smoke test.")] = False,
    seed: Annotated[int, typer.Option(help="Random seed of arrivals, prompts and lengths.")] = 1,
    tuned: Annotated[
        tuple[int, int] | None,
        typer.Option(help=f"{TUNED}'s --max-num-seqs and --max-num-queued-reqs. By default the benchmark searches for the best."),
    ] = None,
    named: Annotated[
        Path | None, typer.Option("--results", help="JSON file to add to; by default reports/overload-DATE.json.")
    ] = None,
    docs: Annotated[Path | None, typer.Option("--write-docs", help="Page into which tables and picture are written.")] = None,
    measured: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Measure, or only report the contents of the results file.")
    ] = True,
) -> None:
    """Measure goodput by offered load, of Firstword, of `vllm serve`, and of `vllm serve` with its best setting."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Like Ctrl-C, so that the servers are stopped too.
    file = results_file(named, "overload", is_quick=quick, is_measured=measured)
    results = read_results(file)
    for name, turns_per_s in (part.split("=") for part in capacity.split(",") if part):
        results.set_capacity(name, float(turns_per_s))
    if measured:
        chosen = sorted(float(load) for load in loads.split(","))
        plan = Plan(_names(servers, [PLAIN, TUNED, OURS]), _names(workloads, ["uniform", "voice", FLOOD]), chosen,
                    QUICK_S if quick else duration, seed)  # fmt: skip
        _measure(plan, results, file, tuned and Held(*tuned))
    write_beside(file, partial(draw, results), markdown(results))
    console.print(Markdown(target_table(results)))
    if docs:
        write_docs(results, docs)
    console.print(f"{file}, and beside it .md, .svg, .png")


def _measure(plan: Plan, results: Results, file: Path, tuned: Held | None) -> None:
    texts = texts_of(ensure_embedded_model(console.print))
    workloads: dict[str, Workload] = {"uniform": Uniform(texts, plan.seed), "voice": Voice(texts, plan.seed)}
    results.about |= about() | {"Counted seconds per cell": f"{plan.duration_s:g}", "Seed": str(plan.seed)}
    with measuring(console, plan.cells) as (say, done):

        def on_cell(cell: Cell) -> None:
            results.write(file)
            done(cell_line(cell))

        bench = Bench(plan, workloads, results, on_cell=on_cell, say=say)
        Run(bench, plan, results, file, say, tuned).all()


def _names(reported: str, known: list[str]) -> list[str]:
    names = reported.split(",")
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}. Known: {', '.join(known)}.")
    return names


if __name__ == "__main__":
    typer.run(main)
